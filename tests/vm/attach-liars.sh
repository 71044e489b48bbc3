#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 16 --kms
# kernels: 6.12
# Attaches through a KMS that has the right certificate and answers wrongly:
# each its own status and sentence, and no device, no key, no change.
. /test/vm/helpers/attach.bash

PORT=8444
LISTENING=$(printf ':%04X 00000000:0000 0A' $PORT)
ip link set lo up
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
	-nodes -subj /CN=liar -days 2 -config <(printf '[req]\ndistinguished_name = dn\n[dn]\n') \
	-addext subjectAltName=IP:127.0.0.1 -keyout "$WORK/liar.key" \
	-out "$WORK/liar.pem" 2> /dev/null
t "format" envelope format /dev/vda
KEY=$(key_of /dev/vda)
OTHER=${KEY%/*}/00000000-0000-0000-0000-000000000000

# answer STATUS < BODY: one HTTP answer, then silence.
answer()
{
	cat > "$WORK/body"
	printf 'HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n' \
		"$1" "$(stat -c %s "$WORK/body")" > "$WORK/answer"
	cat "$WORK/body" >> "$WORK/answer"
}

# lied STATUS NAME REGEX: attach meets the answer that was prepared.
lied()
{
	local liar end=$((SECONDS + 60))

	# The sleep keeps the connection open until the client has gone.
	openssl s_server -quiet -accept 127.0.0.1:$PORT -naccept 1 \
		-cert "$WORK/liar.pem" -key "$WORK/liar.key" \
		< <(cat "$WORK/answer"; exec sleep 300) > "$WORK/asked" 2>&1 &
	liar=$!
	until grep -q "$LISTENING" /proc/net/tcp || [ $SECONDS -gt $end ]; do
		sleep 0.1
	done
	refused "$@" timeout 200 envelope attach --direct --timeout 40 \
		--kms-endpoint https://127.0.0.1:$PORT \
		--ca-file "$WORK/liar.pem" /dev/vda x
	kill $liar 2> /dev/null
	wait $liar
	t "$2: the liar was asked for the key" \
		grep -qa "\"KeyId\":\"$KEY\"" "$WORK/asked"
}

# plaintext TEXT [KEY]: a Decrypt answer with these bytes.
plaintext()
{
	printf '{"KeyId":"%s","Plaintext":"%s"}' "${2:-$KEY}" \
		"$(printf '%s' "$1" | base64 -w 0)"
}

HALF_A=$(printf '%032d' 1)
HALF_B=$(printf '%032d' 2)

printf '<html>welcome to the hotel</html>' | answer "200 OK"
lied 4 "garbage" "answered Decrypt with garbage .*so it is no sound KMS"

head -c 70000 /dev/zero | tr '\0' x | answer "200 OK"
lied 4 "oversized answer" "answered more than 65536 bytes"

plaintext "$HALF_A" | answer "200 OK"
lied 6 "security-08-wrong-length" "a plaintext that is not 64 bytes long"

plaintext "$HALF_A$HALF_A" | answer "200 OK"
lied 6 "security-08-equal-halves" "a data key of two equal halves"

plaintext "$HALF_A$HALF_B" "$OTHER" | answer "200 OK"
lied 6 "security-08-wrong-key-id" "answered Decrypt with the KeyId of another"

plaintext "$HALF_A$HALF_B" | answer "200 OK"
lied 6 "security-02-another-dek" "the unwrapped key is not this volume's"

printf '{"__type":"ExpiredTokenException"}' | answer "400 Bad Request"
lied 4 "expired credentials" "they have expired .*get fresh ones"

printf '{"__type":"AccessDeniedException"}' | answer "400 Bad Request"
lied 3 "access denied" "these credentials may not use the key so"

printf '' | answer "302 Found"
lied 4 "security-05-redirect" "answered with a redirect, which is never"

t "it attaches when the KMS is honest" envelope attach --direct /dev/vda x
t "detach" envelope detach x
t "nothing left at the end" nothing_left
done_testing
