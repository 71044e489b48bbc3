// SPDX-License-Identifier: GPL-2.0-or-later
// What the lives of a key in JavaScript share: settings as JSON on stdin, one
// line "name: ok" or "name: why not" for each step on stdout.
'use strict';
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const https = require('node:https');
const path = require('node:path');
const { KMS } = require('@aws-sdk/client-kms');

const settings = JSON.parse(fs.readFileSync(0, 'utf8'));
const agent = new https.Agent({ ca: fs.readFileSync(settings.ca) });
const context = { 'envelope:volume-id': 'vol-1', 'ключ': '🔑' };

function client(region, who) {
  return new KMS({
    region,
    endpoint: settings.endpoint,
    credentials: settings.credentials[who || 'administrator'],
    maxAttempts: 1,
    requestHandler: { httpsAgent: agent },
  });
}

const kms = client(settings.regions[0]);

async function refused(name, promise) {
  await assert.rejects(promise, (e) => {
    assert.equal(e.name, name);
    return true;
  });
}

async function newKey(options) {
  return (await kms.createKey(options || {})).KeyMetadata;
}

const allow = {
  Effect: 'Allow', Action: 'kms:*', Resource: '*',
  Principal: { AWS: 'arn:aws:iam::111122223333:root' },
};

function policy(...statements) {
  return JSON.stringify({ Version: '2012-10-17', Statement: statements });
}

// The server's clock goes on, for what comes after this, too.
function passDays(days) {
  const now = fs.existsSync(settings.clock) ?
    Number(fs.readFileSync(settings.clock, 'utf8')) : 0;
  fs.writeFileSync(`${settings.clock}.js`, `${now + days * 86400}\n`);
  fs.renameSync(`${settings.clock}.js`, settings.clock);
}

function openssl(input, ...args) {
  return execFileSync('openssl', args, { input, stdio: 'pipe' });
}

function makeMaterial() {
  return openssl('', 'rand', '32');
}

// Imports material as AWS's manual has it wrapped.
async function importMaterial(KeyId, material, options) {
  const got = await kms.getParametersForImport({
    KeyId, WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
    WrappingKeySpec: 'RSA_2048',
  });
  const key = path.join(settings.folder, 'wrapping-key.der');
  fs.writeFileSync(key, got.PublicKey);
  return kms.importKeyMaterial({
    KeyId, ImportToken: got.ImportToken,
    EncryptedKeyMaterial: openssl(
      material, 'pkeyutl', '-encrypt', '-pubin', '-inkey', key, '-keyform',
      'DER', '-pkeyopt', 'rsa_padding_mode:oaep', '-pkeyopt',
      'rsa_oaep_md:sha256', '-pkeyopt', 'rsa_mgf1_md:sha256'),
    ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE', ...options,
  });
}

async function run(steps) {
  for (const name of Object.keys(steps)) {
    try {
      await steps[name]();
      console.log(`${name}: ok`);
    } catch (e) {
      console.log(`${name}: ${String(e.stack).replaceAll('\n', ' | ')}`);
    }
  }
}

module.exports = {
  allow, client, context, importMaterial, kms, makeMaterial, newKey, passDays,
  policy, refused, run, settings,
};
