# One word for each habit; CONTRIBUTING.md says when. ROOM=selection: the tests of that room only.
.PHONY: check test format pages ci latest pins
check: ; ruff check . && ruff format --check . && mypy && lint-imports
test: ; pytest tests/$(ROOM)
format: ; ruff check --fix . && ruff format .
pages: ; python scripts/command_page.py
ci: ; .ci/run
latest: ; .ci/run --latest
pins: ; scripts/renew_constraints.sh
