#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The mutants that are found within a moment; `make mutants` tries all.
#
# timeout: 300

exec "$(dirname "$0")/run" --quick
