#!/bin/sh
echo "passing in $(basename "$PWD") as $REGATTA_TEST_ID"
