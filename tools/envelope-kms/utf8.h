/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text that was cut or came from outside, made fit for JSON. */
#ifndef KMS_UTF8_H
#define KMS_UTF8_H

/* Puts '?' over every byte of @text that is not part of valid UTF-8. */
void utf8_mend(char *text);

#endif
