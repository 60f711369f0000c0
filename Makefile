# Every command of the project. `make` alone lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test bench soak check format table fakes messages requirements

VENV := .venv/bin/python
# The machine's own servers have no say where the embedded set-up is meant.
EMBEDDED := env -u DATABASE_URL -u CELERY_BROKER_URL ENV_FILE=/dev/null
# Extra words for pytest, such as: make test ARGS="tests/patients -k search"
ARGS ?=
PYTEST := $(VENV) -m pytest -n 2 $(ARGS)
PIP := $(VENV) -m pip install --disable-pip-version-check --no-input --require-hashes \
	$(if $(CI),--quiet)
# The packages of the product.
APPS := $(filter-out tests,$(patsubst %/__init__.py,%,$(wildcard */__init__.py)))

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

run: .venv/installed ## start the clinic (PORT=8000); Ctrl-C ends it
	@exec $(VENV) -m embedded

test: .venv/installed-dev ## run the whole suite on SQLite, then on PostgreSQL + Redis
	@echo "== The suite on the embedded set-up (SQLite)"
	@$(EMBEDDED) $(PYTEST)
	@echo "Ran on SQLite."
	@echo "== The suite on PostgreSQL and Redis"
	@ENV_FILE=/dev/null $(VENV) -m tests.servers $(PYTEST)

bench: .venv/installed-dev ## speed beside its baselines, on SQLite and on PostgreSQL
	@$(EMBEDDED) $(VENV) -m tests.bench
	@ENV_FILE=/dev/null $(VENV) -m tests.servers $(VENV) -m tests.bench

# Visits booked while everything is killed, stopped and cut off.
N ?= 10000

soak: .venv/installed-dev ## kill everything while N=10000 visits are told, then count lost, doubled, wrong
	@$(EMBEDDED) $(VENV) -m tests.soak -n $(N) $(ARGS)

CHECKS := check-format check-types check-imports check-migrations check-templates \
	check-deploy check-audit
.PHONY: $(CHECKS)
check: $(CHECKS) ## format, types, imports, migrations, templates, settings, audit (-k: all)
$(CHECKS): .venv/installed-dev

check-format:
	@echo "== Format and lint"
	@$(VENV) -m ruff format --quiet --check . || { echo "Run: make format"; exit 1; }
	@$(VENV) -m ruff check --quiet .

check-types:
	@echo "== Types"
	@$(EMBEDDED) $(VENV) -m mypy --no-error-summary manage.py $(APPS)

check-imports:
	@echo "== Import contract"
	@.venv/bin/lint-imports >.venv/imports.log || { cat .venv/imports.log; exit 1; }

check-migrations:
	@echo "== Migrations"
	@DATABASE_URL=sqlite://:memory: $(VENV) manage.py makemigrations --check --dry-run

check-templates:
	@echo "== Templates"
	@$(VENV) -m djlint templates --check --lint --quiet

check-deploy:
	@echo "== Settings of a clinic server"
	@DEBUG=0 SECRET_KEY="$$($(VENV) -c 'import secrets; print(secrets.token_urlsafe(64))')" \
		ALLOWED_HOSTS=clinic.example PUBLIC_BASE_URL=https://clinic.example \
		DATABASE_URL=postgres://clinic@127.0.0.1/clinic \
		CELERY_BROKER_URL=redis://127.0.0.1:6379/0 \
		SMS_GATEWAY=simulated EMAIL_GATEWAY=simulated \
		$(VENV) manage.py check --deploy --fail-level WARNING

check-audit:
	@echo "== Known vulnerabilities"
	@$(VENV) -m tests.audit requirements.txt requirements-dev.txt

format: .venv/installed-dev ## put the code into its one form
	@$(VENV) -m ruff check --quiet --fix --select I .
	@$(VENV) -m ruff format .
	@$(VENV) -m djlint templates --reformat --quiet

table: .venv/installed-dev ## write docs/access.md anew: who may open which address
	@$(EMBEDDED) $(VENV) -m tests.access_table

fakes: .venv/installed-dev ## start a fake Twilio and a mailbox to try the gateways against
	@exec $(VENV) -m tests.fakes

LANGUAGES := $(patsubst %,--locale=%,$(notdir $(wildcard locale/*)))

# The clinic's machine has no gettext, so the compiled files are committed beside them.
messages: .venv/installed ## gather the texts to translate, compile them; needs gettext
	@command -v msgfmt >/dev/null || { echo "Install gettext first."; exit 1; }
	@$(VENV) manage.py makemessages $(LANGUAGES) --no-location --no-wrap --no-obsolete \
		--ignore .venv --ignore tests --verbosity 0
	@$(VENV) manage.py compilemessages $(LANGUAGES) --ignore .venv --verbosity 0

COMPILE := $(VENV) -m uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --custom-compile-command "make requirements"

requirements: .venv/installed-dev ## take the newest allowed versions into requirements*.txt
	@$(COMPILE) requirements.in --output-file requirements.txt
	@$(COMPILE) requirements-dev.in --output-file requirements-dev.txt

# What is installed, and when again.

.venv/installed: requirements.txt $(VENV)
	@echo "Installing what the clinic needs; the first time this takes a minute or two."
	@$(PIP) -r requirements.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	@echo "Installing what testing needs on top."
	@$(PIP) -r requirements-dev.txt
	@touch $@

# PYTHON=… names one in particular.
$(VENV):
	@found=; lame=; \
	for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		if "$$python" -c 'import ensurepip, venv' 2>/dev/null; then found=$$python; break; fi; \
		lame=$$python; \
	done; \
	if [ -z "$$found" ] && [ -n "$$lame" ]; then \
		echo "$$lame cannot make virtual environments: its venv module is missing."; \
		echo "On Debian or Ubuntu: sudo apt-get install python3-venv"; \
		exit 1; \
	elif [ -z "$$found" ]; then \
		echo "Python 3.11 or newer is needed, and none was found (python3 is:" \
			"$$(python3 --version 2>&1 || true))."; \
		echo "Name one elsewhere with: make run PYTHON=/path/to/python3"; \
		exit 1; \
	fi; \
	echo "Creating .venv with $$("$$found" --version)"; \
	"$$found" -m venv --clear .venv
