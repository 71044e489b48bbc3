# SPDX-License-Identifier: GPL-2.0-or-later
#
# make O=DIR      build somewhere else than ./build
# make SAN=1      programs with ASan and UBSan, below $(O)/san
# make V=1        show the commands

O ?= build
PREFIX ?= /usr/local
DESTDIR ?=
KERNELS ?= $(notdir $(patsubst %/build,%,$(wildcard /lib/modules/*/build)))
CC ?= gcc
PKGCONFIG ?= pkg-config

ifeq ($(V),1)
Q :=
else
Q := @
endif

# One line a file, none with make -s.
say = $(if $(Q),$(if $(findstring s,$(firstword -$(MAKEFLAGS))),,\
	@printf '  %-7s %s\n' $(1) $(2)))

ifeq ($(SAN),1)
override O := $(O)/san
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	-fno-omit-frame-pointer
endif

CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -MMD -MP \
	-fstack-protector-strong -fPIE -Iagent -Ikernel $(SANFLAGS) $(CFLAGS)
ifneq ($(SAN),1)
ALL_CFLAGS += -D_FORTIFY_SOURCE=2
endif
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now,--as-needed $(SANFLAGS) $(LDFLAGS)

# What each part links with; pkg-config names what is missing.
AGENT_PKGS := devmapper blkid libcurl jansson libcrypto expat libsystemd \
	p11-kit-1 libisal
DAEMON_PKGS := libsystemd libseccomp
KMS_PKGS := libmicrohttpd sqlite3 gnutls jansson libcrypto zlib libseccomp
need = $(or $(shell $(PKGCONFIG) $(1) $(2) 2>/dev/null),\
	$(error $(shell $(PKGCONFIG) --print-errors $(2) 2>&1 | head -1); \
	run scripts/setup))
# curl.c loads libcurl when it is needed.
AGENT_LIBS = $(call need,--libs,$(filter-out libcurl,$(AGENT_PKGS))) -lkeyutils
DAEMON_LIBS = $(AGENT_LIBS) $(call need,--libs,$(DAEMON_PKGS))
KMS_LIBS = $(call need,--libs,$(KMS_PKGS)) -lpthread

# The leaf helpers that envelope-kms shares with the agent.
LEAF := secret process log json context unix_socket

AGENT_OBJS := $(patsubst %.c,$(O)/obj/%.o,$(sort $(wildcard agent/*.c)))
DAEMON_OBJS := $(patsubst %.c,$(O)/obj/%.o,\
	$(sort $(wildcard agent/daemon/*.c)))
LEAF_OBJS := $(LEAF:%=$(O)/obj/agent/%.o)
CLI_OBJS := $(patsubst %.c,$(O)/obj/%.o,$(sort $(wildcard tools/cli/*.c)))
ENVELOPE_OBJS := $(patsubst %.c,$(O)/obj/%.o,\
	$(sort $(wildcard tools/envelope/*.c)))
SNAPSHOT_OBJS := $(patsubst %.c,$(O)/obj/%.o,\
	$(sort $(wildcard tools/envelope-snapshot/*.c)))
GENERATOR_OBJS := $(patsubst %.c,$(O)/obj/%.o,\
	$(sort $(wildcard tools/envelope-generator/*.c)))
ID_OBJS := $(patsubst %.c,$(O)/obj/%.o,\
	$(sort $(wildcard tools/envelope-id/*.c)))
KMS_OBJS := $(patsubst %.c,$(O)/obj/%.o,\
	$(sort $(wildcard tools/envelope-kms/*.c)))
# The agent's policy, which others than the agent look at, too.
POLICY_OBJS := $(O)/obj/agent/daemon/policy.o $(O)/obj/agent/daemon/policy_parse.o
PROGRAMS := $(O)/bin/envelope $(O)/bin/envelope-snapshot \
	$(O)/bin/envelope-agent $(O)/bin/envelope-kms
# systemd's, in a folder of its own.
GENERATOR := $(O)/bin/envelope-generator
# udev's.
UDEV_ID := $(O)/bin/envelope-id

UNIT_AGENT := $(patsubst tests/unit/%.c,$(O)/unit/%,\
	$(wildcard tests/unit/test_*.c))
UNIT_KMS := $(patsubst tests/unit/%.c,$(O)/unit/%,$(wildcard tests/unit/kms_*.c))
UNIT_DAEMON := $(patsubst tests/unit/%.c,$(O)/unit/%,\
	$(wildcard tests/unit/agent_*.c))
VM_HELPERS := $(patsubst tests/vm/helpers/%.c,$(O)/vm/%,\
	$(wildcard tests/vm/helpers/*.c))

.PHONY: all programs module unit vm-helpers demo test check mutants bench bench-kms bench-attach bench-snapshot fuzz \
	debug-kernel test-debug test-debug-smp test-long \
	install uninstall clean help
.DELETE_ON_ERROR:

all: programs module

programs: $(PROGRAMS) $(GENERATOR) $(UDEV_ID)

help:
	@echo 'make               programs and module'
	@echo 'make module        dm-envelope.ko for every installed set of headers'
	@echo 'make demo          set up, then show the main job in a VM'
	@echo 'make test          set up, then run all tests'
	@echo 'make check         static checks'
	@echo 'make test-debug    kernel tests on a kernel with KASAN and lockdep'
	@echo 'make test-debug-smp  the same with two CPUs, and data races: hours'
	@echo 'make test-long     all tests with all rounds, kernels and mutants: hours'
	@echo 'make debug-kernel  build that kernel (about 10 minutes, kept)'
	@echo 'make mutants       prove that the tests can fail'
	@echo 'make bench         instructions per I/O beside dm-crypt'
	@echo 'make bench-attach  attach beside cryptsetup open: instructions; see'
	@echo '                   tests/bench/attach for wall time'
	@echo 'make fuzz          harnesses for libFuzzer, which tests/fuzz/run runs'
	@echo 'make bench-snapshot  a copy under another key beside its passes and others'
	@echo 'make bench-kms     requests per second of envelope-kms beside a bare server'
	@echo 'make install       to $$(DESTDIR)$$(PREFIX); make uninstall undoes it'
	@echo 'make clean         remove $$(O)'

$(O)/obj/agent/%.o: agent/%.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) $(call need,--cflags,$(AGENT_PKGS)) -c $< -o $@

$(O)/obj/agent/daemon/%.o: agent/daemon/%.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) \
		$(call need,--cflags,$(AGENT_PKGS) $(DAEMON_PKGS)) -c $< -o $@

# The interfaces are part of it.
$(O)/obj/agent/daemon/service.o: $(wildcard agent/daemon/*.varlink)

# metrics_http.c loads it when it is needed.
$(O)/obj/tools/envelope/metrics_http.o: ALL_CFLAGS += \
	$(call need,--cflags,libmicrohttpd)

$(CLI_OBJS) $(ENVELOPE_OBJS) $(SNAPSHOT_OBJS) $(GENERATOR_OBJS) \
		$(ID_OBJS): \
		$(O)/obj/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -Itools/cli \
		$(call need,--cflags,$(AGENT_PKGS)) -c $< -o $@

$(O)/obj/tools/envelope-kms/%.o: tools/envelope-kms/%.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) $(call need,--cflags,$(KMS_PKGS)) -c $< -o $@

# Rebuild everything when the compiler or its flags change.
$(O)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(ALL_CFLAGS)' | cmp -s - $@ || \
		echo '$(CC) $(ALL_CFLAGS)' > $@

$(O)/libenvelope.a: $(AGENT_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(O)/bin/envelope: $(ENVELOPE_OBJS) $(CLI_OBJS) $(POLICY_OBJS) \
		$(O)/libenvelope.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(AGENT_LIBS) -o $@

$(O)/bin/envelope-snapshot: $(SNAPSHOT_OBJS) $(CLI_OBJS) $(O)/libenvelope.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(AGENT_LIBS) -o $@

$(GENERATOR): $(GENERATOR_OBJS) $(O)/libenvelope.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(AGENT_LIBS) -o $@

$(UDEV_ID): $(ID_OBJS) $(O)/libenvelope.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(AGENT_LIBS) -o $@

$(O)/bin/envelope-agent: $(DAEMON_OBJS) $(O)/libenvelope.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(DAEMON_LIBS) -o $@

$(O)/bin/envelope-kms: $(KMS_OBJS) $(LEAF_OBJS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(KMS_LIBS) -o $@

unit: $(UNIT_AGENT) $(UNIT_KMS) $(UNIT_DAEMON)

$(O)/unit/test_%: tests/unit/test_%.c $(O)/libenvelope.a
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $< $(O)/libenvelope.a \
		$(AGENT_LIBS) -lcmocka -o $@

$(O)/unit/test_audit: ALL_LDFLAGS += -Wl,--wrap=fsync
LATE_FAKES := dm_volume_status_get keyring_drop_dek volume_end_key \
	volume_holds_audit event_to_journal audit_write
$(O)/unit/test_volume_late: ALL_LDFLAGS += $(LATE_FAKES:%=-Wl,--wrap=%)

$(O)/unit/kms_%: tests/unit/kms_%.c $(KMS_OBJS) $(LEAF_OBJS)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -Itools/envelope-kms $(ALL_CFLAGS) $(ALL_LDFLAGS) $< \
		$(filter-out %/main.o,$(KMS_OBJS)) $(LEAF_OBJS) \
		$(KMS_LIBS) -lcmocka -o $@

# What leases ask of others is answered by their test.
LEASE_FAKES := worker_start worker_free dm_volume_status_get volume_end_key \
	keyring_set_timeout volume_clock_ms volume_random event_to_journal \
	call_reply call_refuse call_on_gone call_caller audit_write \
	volume_holds_audit worker_trace
TOKEN_FAKES := worker_start worker_free dm_volume_status_get volume_end_key \
	keyring_set_timeout volume_clock_ms volume_holds_audit worker_trace
$(O)/unit/agent_leases: ALL_LDFLAGS += $(LEASE_FAKES:%=-Wl,--wrap=%)
$(O)/unit/agent_tokens: ALL_LDFLAGS += $(TOKEN_FAKES:%=-Wl,--wrap=%)
OPENING_FAKES := call_agent worker_start worker_free sd_event_add_time_relative
$(O)/unit/agent_opening: ALL_LDFLAGS += $(OPENING_FAKES:%=-Wl,--wrap=%)
$(O)/unit/agent_worker: ALL_LDFLAGS += -Wl,--wrap=volume_clock_ms
$(O)/unit/agent_server: ALL_LDFLAGS += -Wl,--wrap=methods_run

# And what the slots do.
SLOT_FAKES := worker_start worker_free worker_prove worker_wrap worker_unwrap \
	worker_trace \
	worker_grant_token dm_volume_list dm_volume_status_get live_open \
	call_reply call_refuse call_fail call_on_gone
$(O)/unit/agent_slots: ALL_LDFLAGS += $(SLOT_FAKES:%=-Wl,--wrap=%)

$(O)/unit/agent_%: tests/unit/agent_%.c $(DAEMON_OBJS) $(O)/libenvelope.a
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -Iagent/daemon $(ALL_CFLAGS) $(ALL_LDFLAGS) $< \
		$(filter-out %/main.o,$(DAEMON_OBJS)) $(O)/libenvelope.a \
		$(DAEMON_LIBS) -lcmocka -o $@

vm-helpers: $(VM_HELPERS)

$(O)/vm/%: tests/vm/helpers/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $< -lkeyutils -lcrypto -o $@

# With the agent's library.
$(O)/vm/vmlive: tests/vm/helpers/vmlive.c $(O)/libenvelope.a
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $< $(O)/libenvelope.a \
		$(AGENT_LIBS) -o $@

# To be preloaded.
$(O)/vm/%.so: tests/vm/helpers/%.so.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(filter-out -fPIE -pie,$(ALL_CFLAGS)) -fPIC -shared $< -o $@

# One copy of the sources for each kernel, since Kbuild builds beside them.
# Our own O and V mean something else to the kernel's make: nothing of ours is
# handed down but KFLAGS.
module: $(KERNELS:%=module-%)
	$(if $(KERNELS),,$(error no kernel headers installed; run scripts/setup))

module-%: FORCE
	@mkdir -p $(O)/$*/src/kernel
	@cp -u Kbuild $(O)/$*/src/
	@cp -u kernel/*.[ch] $(O)/$*/src/kernel/
	$(call say,MODULE,$*)
	$(Q)env -u MAKEFLAGS -u MAKEOVERRIDES $(MAKE) -s -j2 \
		-C /lib/modules/$*/build M=$(abspath $(O)/$*/src) $(KFLAGS) modules
	@cp $(O)/$*/src/dm-envelope.ko $(O)/$*/dm-envelope.ko

demo:
	scripts/setup demo
	scripts/demo

test:
	scripts/setup test
	tests/run

check:
	scripts/setup check
	scripts/check

debug-kernel:
	scripts/setup debug
	scripts/debug-kernel build uml

test-debug:
	scripts/setup debug
	tests/run debug

test-debug-smp:
	scripts/setup test
	scripts/setup debug
	tests/run debug-smp

test-long:
	scripts/setup test
	scripts/setup debug
	LONG=1 tests/run all

mutants:
	scripts/setup test
	tests/mutants/run

bench:
	scripts/setup test
	tests/bench/run

bench-attach:
	scripts/setup test
	BUILD=$(O) tests/bench/attach

# clang's libFuzzer; each harness with just the sources that it feeds.
FUZZ_head := crypto region sigv4
FUZZ_body := audit_text base64 call clock crypto errors params region \
	utf8
FUZZ_policy := policy policy_condition policy_glob policy_keys policy_parse
FUZZ_blob := base64 blob crypto seal session wrap
FUZZ := $(patsubst tests/fuzz/%.c,$(O)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_CC = clang -std=gnu11 -D_GNU_SOURCE -g -O1 -fno-sanitize-recover=all

# These are about the agent, and link all of it but its main.
FUZZ_AGENT := agent_policy conf snapshot socket store tab
FUZZ_AGENT_OBJS := $(patsubst %.c,$(O)/fuzz/obj/%.o,$(filter-out %/main.c,\
	$(sort $(wildcard agent/*.c agent/daemon/*.c))))

fuzz: $(FUZZ)

$(O)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CLANG,$<)
	$(Q)$(FUZZ_CC) -MMD -MP -Iagent -Ikernel \
		-fsanitize=fuzzer-no-link,address,undefined \
		$(call need,--cflags,$(AGENT_PKGS) $(DAEMON_PKGS)) -c $< -o $@

$(O)/fuzz/obj/agent/daemon/service.o: $(wildcard agent/daemon/*.varlink)

$(O)/fuzz/agent.a: $(FUZZ_AGENT_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

# What the archive has is taken where the harness does not have it itself.
$(FUZZ_AGENT:%=$(O)/fuzz/fuzz_%): $(O)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c \
		tests/fuzz/fuzz_log.h $(O)/fuzz/agent.a
	@mkdir -p $(@D)
	$(call say,CLANG,$<)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -Iagent \
		-Iagent/daemon $(call need,--cflags,$(AGENT_PKGS)) $< \
		$(O)/fuzz/agent.a $(DAEMON_LIBS) -o $@

$(O)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c tools/envelope-kms/*.[ch] agent/*.[ch]
	@mkdir -p $(@D)
	$(call say,CLANG,$<)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer,address,undefined \
		-Itools/envelope-kms -Iagent $< \
		$(FUZZ_$*:%=tools/envelope-kms/%.c) $(LEAF:%=agent/%.c) \
		-ljansson -lcrypto -lpthread -o $@

$(O)/bench/%: tests/bench/%.c $(KMS_OBJS) $(LEAF_OBJS)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -Itools/envelope-kms $(ALL_CFLAGS) $(ALL_LDFLAGS) $< \
		$(filter-out %/main.o,$(KMS_OBJS)) $(LEAF_OBJS) \
		$(KMS_LIBS) -o $@

# Against OpenSSL alone, and the CRC that the snapshots have.
$(O)/bench/snapshot_passes: tests/bench/snapshot_passes.c agent/crc.c agent/crc.h
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -Iagent $(ALL_CFLAGS) $(ALL_LDFLAGS) $< agent/crc.c -lisal \
		-lcrypto -lpthread -o $@

bench-kms: $(O)/bench/kms_load $(O)/bench/kms_bare programs
	scripts/setup test
	BUILD=$(O) tests/bench/kms

bench-snapshot: $(O)/bench/snapshot_passes programs
	scripts/setup bench
	BUILD=$(O) tests/bench/snapshot

MANS = $(wildcard tools/*/*.8 agent/daemon/*.8)
MANS5 = $(wildcard tools/*/*.5)
COMPLETIONS = $(wildcard tools/*/*.bash agent/daemon/*.bash)
UNITS = $(wildcard scripts/systemd/*.service scripts/systemd/*.socket \
	scripts/systemd/*.timer)
GENERATORS := /usr/lib/systemd/system-generators
UDEV := /usr/lib/udev
RULES = $(wildcard scripts/udev/*.rules)

install: programs
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/share/man/man8 \
		$(DESTDIR)$(PREFIX)/share/man/man5 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/sbin
	install -m 644 $(MANS) $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 $(MANS5) $(DESTDIR)$(PREFIX)/share/man/man5
	for c in $(COMPLETIONS); do install -m 644 $$c $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$(basename $$c .bash); done
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/dm-envelope/examples scripts/examples/*
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/dm-envelope/cloud-init scripts/cloud-init/*
	for k in $(KERNELS); do if [ -e $(O)/$$k/dm-envelope.ko ]; then install -D -m 644 $(O)/$$k/dm-envelope.ko $(DESTDIR)/lib/modules/$$k/updates/dm-envelope.ko; fi; done
	install -D -m 644 -t $(DESTDIR)/usr/lib/systemd/system $(UNITS)
	install -D -m 755 -t $(DESTDIR)$(GENERATORS) $(GENERATOR)
	install -D -m 755 -t $(DESTDIR)$(UDEV) $(UDEV_ID)
	install -D -m 644 -t $(DESTDIR)$(UDEV)/rules.d $(RULES)
	install -D -m 644 scripts/systemd/sysusers.conf $(DESTDIR)/usr/lib/sysusers.d/dm-envelope.conf
	install -D -m 644 scripts/systemd/dm-envelope.conf $(DESTDIR)/usr/lib/modules-load.d/dm-envelope.conf
	if [ -z "$(DESTDIR)" ]; then depmod -a; if command -v systemd-sysusers > /dev/null; then systemd-sysusers dm-envelope.conf; fi; fi

uninstall:
	rm -f $(patsubst $(O)/bin/%,$(DESTDIR)$(PREFIX)/sbin/%,$(PROGRAMS))
	rm -f $(patsubst %,$(DESTDIR)$(PREFIX)/share/man/man8/%,$(notdir $(MANS)))
	rm -f $(patsubst %,$(DESTDIR)$(PREFIX)/share/man/man5/%,$(notdir $(MANS5)))
	rm -f $(patsubst %.bash,$(DESTDIR)$(PREFIX)/share/bash-completion/completions/%,$(notdir $(COMPLETIONS)))
	rm -f $(patsubst %,$(DESTDIR)$(PREFIX)/share/doc/dm-envelope/examples/%,$(notdir $(wildcard scripts/examples/*)))
	rm -f $(patsubst %,$(DESTDIR)$(PREFIX)/share/doc/dm-envelope/cloud-init/%,$(notdir $(wildcard scripts/cloud-init/*)))
	rm -f $(patsubst %,$(DESTDIR)/usr/lib/systemd/system/%,$(notdir $(UNITS)))
	rm -f $(DESTDIR)$(GENERATORS)/$(notdir $(GENERATOR))
	rm -f $(DESTDIR)$(UDEV)/$(notdir $(UDEV_ID)) $(patsubst %,$(DESTDIR)$(UDEV)/rules.d/%,$(notdir $(RULES)))
	rm -f $(DESTDIR)/lib/modules/*/updates/dm-envelope.ko
	rm -f $(DESTDIR)/usr/lib/modules-load.d/dm-envelope.conf $(DESTDIR)/usr/lib/sysusers.d/dm-envelope.conf

clean:
	rm -rf $(O)

FORCE:

-include $(AGENT_OBJS:.o=.d) $(ENVELOPE_OBJS:.o=.d) $(KMS_OBJS:.o=.d) \
	$(DAEMON_OBJS:.o=.d) $(CLI_OBJS:.o=.d) $(SNAPSHOT_OBJS:.o=.d) \
	$(GENERATOR_OBJS:.o=.d) $(ID_OBJS:.o=.d)
-include $(wildcard $(O)/unit/*.d) $(wildcard $(O)/vm/*.d)
-include $(FUZZ_AGENT_OBJS:.o=.d)
