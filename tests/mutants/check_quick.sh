#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The mutants that are found within a moment; `make mutants` tries all.
#
# timeout: 600
# beside the others

exec "$(dirname "$0")/run" --quick
