# SPDX-License-Identifier: MIT
#
# Models of the protocols: tests/model/README.md.

CHECKS += tests/model/check_spin.sh
