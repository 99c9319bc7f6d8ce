#!/bin/sh
[ -z "$FIXTURE_HANG" ] || sleep 1000
