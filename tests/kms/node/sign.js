// SPDX-License-Identifier: GPL-2.0-or-later
// Signs one KMS request with npm's aws4: JSON in, header pairs out.
'use strict';
const aws4 = require('aws4');

const q = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const signed = aws4.sign({
  host: q.host,
  method: 'POST',
  path: '/',
  service: 'kms',
  region: q.region,
  headers: {
    'Content-Type': 'application/x-amz-json-1.1',
    'X-Amz-Target': q.target,
  },
  body: q.body,
}, { accessKeyId: q.access, secretAccessKey: q.secret });
process.stdout.write(JSON.stringify(Object.entries(signed.headers)));
