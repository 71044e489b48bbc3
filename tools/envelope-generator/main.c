// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope-generator: /etc/envelope/envelopetab to units, early in a boot. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "log.h"
#include "status.h"
#include "units.h"

#define PROGRAM "envelope-generator"

static const char usage[] =
	"usage: " PROGRAM " NORMAL-DIR EARLY-DIR LATE-DIR [TAB]\n\n"
	"Makes units of the lines of /etc/envelope/envelopetab, or of the file TAB,\n"
	"in NORMAL-DIR. systemd runs it early in each boot and at daemon-reload;\n"
	"see systemd.generator(7).\n\n"
	"  --help                   this text\n"
	"  --version                print the version\n";

static int kmsg = -1;

/* No journal runs yet, and nobody reads standard error. */
static void to_kernel_log(enum log_level level, const char *text)
{
	(void)level;
	if (dprintf(kmsg, "<3>" PROGRAM "[%d]: %s\n", getpid(), text) < 0)
		kmsg = -1;
}

static int generate(const char *folder, const char *path)
{
	const char *name = path ? path : TAB_PATH;
	struct tab tab;
	size_t i;
	int r = tab_read(path, NULL, &tab);
	bool bad = r < 0 || tab.broken > 0;

	for (i = 0; i < tab.count; i++)
		if (units_write(folder, name, &tab.at[i]) < 0)
			bad = true;
	tab_free(&tab);
	return bad ? STATUS_FAILED : STATUS_DONE;
}

int main(int argc, char **argv)
{
	log_init(PROGRAM);
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(usage, stdout) < 0;
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf(PROGRAM " " ENVELOPE_VERSION "\n") < 0;
	if (argc != 4 && argc != 5) {
		fputs(usage, stderr);
		return STATUS_USAGE;
	}
	if (argc == 4)
		kmsg = open("/dev/kmsg", O_WRONLY | O_NOCTTY | O_CLOEXEC);
	if (kmsg >= 0)
		log_set_hook(to_kernel_log);
	umask(0022);
	return generate(argv[1], argv[4]);
}
