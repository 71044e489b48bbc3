/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verbs of `envelope tab` that boot units run. */
#ifndef ENVELOPE_TAB_VERBS_H
#define ENVELOPE_TAB_VERBS_H

#define TAB_FILE_OPTION(p) \
	{ "tab", "FILE", cli_set_text, (p), \
	  "instead of /etc/envelope/envelopetab" }

/* `tab attach` and `tab detach`; the exit status. */
int tab_attach(int argc, char **argv);
int tab_detach(int argc, char **argv);

#endif
