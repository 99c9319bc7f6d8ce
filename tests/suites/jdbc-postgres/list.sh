#!/bin/sh
# Prints the tests of the suite as JUnit selects them, one per line.
cd src/test/java || exit
for file in shop/*Test.java; do
    class=$(echo "${file%.java}" | tr / .)
    sed -n "s/^ *@Test void \([A-Za-z]*\)().*/$class#\1/p" "$file"
done
