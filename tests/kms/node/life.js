// SPDX-License-Identifier: GPL-2.0-or-later
// The life of a KMS key through AWS's client for JavaScript.
'use strict';
const assert = require('node:assert/strict');
const {
  allow, client, context, importMaterial, kms, makeMaterial, newKey, passDays,
  policy, refused, run, settings,
} = require('./clients.js');

async function every(pages) {
  const all = [];
  for (let marker; ;) {
    const page = await pages(marker);
    all.push(page);
    if (!page.Truncated) { return all; }
    marker = page.NextMarker;
  }
}

const steps = {
  async aliasAndDataKeys() {
    const key = await newKey({ Description: 'of node' });
    await kms.createAlias({
      AliasName: 'alias/node/one', TargetKeyId: key.KeyId,
    });
    const made = await kms.generateDataKey({
      KeyId: 'alias/node/one', NumberOfBytes: 64, EncryptionContext: context,
    });
    assert.equal(made.KeyId, key.Arn);
    const back = await kms.decrypt({
      CiphertextBlob: made.CiphertextBlob, EncryptionContext: context,
      KeyId: key.Arn,
    });
    assert.deepEqual(back.Plaintext, made.Plaintext);
    await refused('InvalidCiphertextException', kms.decrypt({
      CiphertextBlob: made.CiphertextBlob,
    }));
    const blind = await kms.generateDataKeyWithoutPlaintext({
      KeyId: key.KeyId, KeySpec: 'AES_256',
    });
    assert.equal(blind.Plaintext, undefined);
    const moved = await kms.reEncrypt({
      CiphertextBlob: made.CiphertextBlob, SourceEncryptionContext: context,
      DestinationKeyId: key.KeyId, DestinationEncryptionContext: { a: 'b' },
    });
    assert.equal(moved.SourceKeyMaterialId, key.CurrentKeyMaterialId);
    await refused('DryRunOperationException', kms.decrypt({
      CiphertextBlob: moved.CiphertextBlob, EncryptionContext: { a: 'b' },
      DryRun: true,
    }));
    await kms.deleteAlias({ AliasName: 'alias/node/one' });
  },

  async policy() {
    const key = await newKey({ Policy: policy(allow) });
    const plain = { KeyId: key.KeyId, Plaintext: Buffer.from('x') };
    await kms.encrypt(plain);
    await kms.putKeyPolicy({
      KeyId: key.KeyId, PolicyName: 'default',
      Policy: policy(allow, {
        ...allow, Effect: 'Deny', Action: 'kms:Encrypt',
        Principal: { AWS: '*' },
      }),
    });
    await refused('AccessDeniedException', kms.encrypt(plain));
    const got = await kms.getKeyPolicy({ KeyId: key.KeyId });
    assert.equal(JSON.parse(got.Policy).Statement.length, 2);
    assert.deepEqual((await kms.listKeyPolicies({
      KeyId: key.KeyId,
    })).PolicyNames, ['default']);
  },

  async rotation() {
    const key = await newKey();
    await kms.enableKeyRotation({
      KeyId: key.KeyId, RotationPeriodInDays: 90,
    });
    const status = await kms.getKeyRotationStatus({ KeyId: key.KeyId });
    assert.equal(status.RotationPeriodInDays, 90);
    assert.ok(status.NextRotationDate instanceof Date);
    const old = await kms.encrypt({
      KeyId: key.KeyId, Plaintext: Buffer.from('old'),
    });
    await kms.rotateKeyOnDemand({ KeyId: key.KeyId });
    const fresh = await kms.encrypt({
      KeyId: key.KeyId, Plaintext: Buffer.from('new'),
    });
    const texts = [];
    const materials = new Set();
    for (const blob of [old, fresh]) {
      const back = await kms.decrypt({
        CiphertextBlob: blob.CiphertextBlob,
      });
      texts.push(Buffer.from(back.Plaintext).toString());
      materials.add(back.KeyMaterialId);
    }
    assert.deepEqual(texts, ['old', 'new']);
    assert.equal(materials.size, 2);
    const rotations = await kms.listKeyRotations({
      KeyId: key.KeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL',
    });
    assert.deepEqual(
      new Set(rotations.Rotations.map((r) => r.KeyMaterialId)), materials);
    await kms.disableKeyRotation({ KeyId: key.KeyId });
  },

  async importing() {
    const key = await newKey({ Origin: 'EXTERNAL' });
    assert.equal(key.KeyState, 'PendingImport');
    const material = makeMaterial();
    const { KeyMaterialId } = await importMaterial(key.KeyId, material);
    const blob = (await kms.encrypt({
      KeyId: key.KeyId, Plaintext: Buffer.from('x'),
    })).CiphertextBlob;
    await kms.deleteImportedKeyMaterial({ KeyId: key.KeyId });
    await refused('KMSInvalidStateException', kms.decrypt({
      CiphertextBlob: blob,
    }));
    await refused('IncorrectKeyMaterialException', importMaterial(
      key.KeyId, makeMaterial()));
    await importMaterial(key.KeyId, material, { KeyMaterialId });
    await importMaterial(key.KeyId, makeMaterial(), {
      ImportType: 'NEW_KEY_MATERIAL', KeyMaterialDescription: 'second',
    });
    await kms.rotateKeyOnDemand({ KeyId: key.KeyId });
    const back = await kms.decrypt({ CiphertextBlob: blob });
    assert.equal(back.KeyMaterialId, KeyMaterialId);
    const { Rotations: all } = await kms.listKeyRotations({
      KeyId: key.KeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL',
    });
    assert.deepEqual(all.map((r) => [
      r.KeyMaterialState, r.ImportState, r.KeyMaterialDescription,
    ]), [
      ['NON_CURRENT', 'IMPORTED', undefined],
      ['CURRENT', 'IMPORTED', 'second'],
    ]);
  },

  async regions() {
    const [, other] = settings.regions;
    const there = client(other);
    const key = await newKey({ MultiRegion: true });
    const { ReplicaKeyMetadata: replica } = await kms.replicateKey({
      KeyId: key.KeyId, ReplicaRegion: other,
    });
    assert.equal(replica.KeyId, key.KeyId);
    const made = await kms.generateDataKey({
      KeyId: key.KeyId, NumberOfBytes: 64, EncryptionContext: context,
    });
    const back = await there.decrypt({
      CiphertextBlob: made.CiphertextBlob, EncryptionContext: context,
    });
    assert.deepEqual(back.Plaintext, made.Plaintext);
    assert.equal(back.KeyId, replica.Arn);
    await kms.updatePrimaryRegion({
      KeyId: key.KeyId, PrimaryRegion: other,
    });
    const config = (await there.describeKey({ KeyId: key.KeyId }))
      .KeyMetadata.MultiRegionConfiguration;
    assert.equal(config.MultiRegionKeyType, 'PRIMARY');
    await refused('NotFoundException', there.describeKey({
      KeyId: key.Arn,
    }));
  },

  async tags() {
    const key = await newKey({ Tags: [{ TagKey: 'a', TagValue: '1' }] });
    await kms.tagResource({
      KeyId: key.KeyId, Tags: [{ TagKey: 'b', TagValue: '' }],
    });
    const pages = await every((Marker) => kms.listResourceTags({
      KeyId: key.KeyId, Limit: 1, Marker,
    }));
    assert.deepEqual(pages.map((p) => p.Tags[0].TagKey), ['a', 'b']);
    await kms.untagResource({ KeyId: key.KeyId, TagKeys: ['a'] });
    await kms.updateKeyDescription({
      KeyId: key.KeyId, Description: 'later',
    });
    assert.equal((await kms.describeKey({ KeyId: key.Arn }))
      .KeyMetadata.Description, 'later');
  },

  async grants() {
    const key = await newKey();
    const ask = {
      KeyId: key.KeyId, GranteePrincipal: settings.friend,
      Operations: ['Decrypt', 'DescribeKey'], Name: 'node',
      RetiringPrincipal: settings.administrator,
      Constraints: { EncryptionContextSubset: { volume: 'v' } },
    };
    const plain = {
      KeyId: key.Arn, Plaintext: Buffer.from('x'),
      EncryptionContext: { volume: 'v', n: '1' },
    };
    const blob = (await kms.encrypt(plain)).CiphertextBlob;
    const friend = client(settings.regions[0], 'friend');
    const made = await kms.createGrant(ask);
    const back = await friend.decrypt({
      CiphertextBlob: blob, EncryptionContext: plain.EncryptionContext,
      GrantTokens: [made.GrantToken],
    });
    assert.equal(Buffer.from(back.Plaintext).toString(), 'x');
    await refused('AccessDeniedException', friend.decrypt({
      CiphertextBlob: blob, EncryptionContext: { volume: 'w', n: '1' },
    }));
    await refused('AccessDeniedException', friend.encrypt(plain));
    assert.equal((await kms.createGrant(ask)).GrantId, made.GrantId);
    const listed = await kms.listGrants({ KeyId: key.KeyId });
    assert.deepEqual(listed.Grants[0].Constraints, ask.Constraints);
    assert.ok(listed.Grants[0].CreationDate instanceof Date);
    await kms.describeKey({
      KeyId: key.KeyId, GrantTokens: [made.GrantToken],
    });
    await refused('InvalidGrantTokenException', kms.describeKey({
      KeyId: key.KeyId, GrantTokens: ['made up'],
    }));
    await refused('InvalidArnException', kms.createGrant({
      ...ask, GranteePrincipal: 'arn:aws:iam::111122223333:user/nobody',
    }));
    assert.equal((await kms.listRetirableGrants({
      RetiringPrincipal: settings.administrator,
    })).Grants.length, 1);
    await kms.retireGrant({ GrantToken: made.GrantToken });
    await refused('AccessDeniedException', friend.decrypt({
      CiphertextBlob: blob, EncryptionContext: plain.EncryptionContext,
    }));
    await refused('NotFoundException', kms.revokeGrant({
      KeyId: key.KeyId, GrantId: made.GrantId,
    }));
  },

  async deletion() {
    const key = await newKey();
    const until = await kms.scheduleKeyDeletion({
      KeyId: key.KeyId, PendingWindowInDays: 7,
    });
    assert.equal(until.KeyState, 'PendingDeletion');
    assert.ok(until.DeletionDate instanceof Date);
    await refused('KMSInvalidStateException', kms.encrypt({
      KeyId: key.KeyId, Plaintext: Buffer.from('x'),
    }));
    await kms.cancelKeyDeletion({ KeyId: key.KeyId });
    await refused('DisabledException', kms.encrypt({
      KeyId: key.KeyId, Plaintext: Buffer.from('x'),
    }));
    await kms.enableKey({ KeyId: key.KeyId });
    await kms.scheduleKeyDeletion({
      KeyId: key.KeyId, PendingWindowInDays: 7,
    });
    passDays(8);
    await refused('NotFoundException', kms.describeKey({ KeyId: key.KeyId }));
  },
};

run(steps);
