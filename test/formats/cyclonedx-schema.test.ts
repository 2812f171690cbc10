/** Our SBOMs by CycloneDX' own JSON schema, as CycloneDX' library checks it: with its formats, and nothing unknown. */
import { Spec, Validation } from '@cyclonedx/cyclonedx-library';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { decodeShowInfo } from '../../src/formats/buildroot-info.ts';
import type { BomPackage } from '../../src/formats/cyclonedx.ts';
import { encodeBom } from '../../src/formats/cyclonedx.ts';
import { decodeSpdx3 } from '../../src/formats/spdx.ts';
import { SHOW_INFO } from '../layers/buildroot-output.ts';
import { PROJECT } from '../support/project.ts';

const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot5);

function bom(packages: readonly BomPackage[], product = 'gateway'): string {
  const bytes = encodeBom({ product, version: '2.0', created: '2026-01-01T00:00:00Z', packages });
  return Buffer.from(bytes).toString();
}

let buildroot: readonly BomPackage[] = [];
let yocto: readonly BomPackage[] = [];
beforeAll(async () => {
  buildroot = decodeShowInfo(JSON.stringify(SHOW_INFO)) ?? [];
  const text = await readFile(join(PROJECT, 'test/fixtures/yocto/wrynose.spdx.json'), 'utf8');
  yocto = (decodeSpdx3(JSON.parse(text)) ?? []).map((each) => ({ ...each, version: '1.0-r0' }));
});

test('the validator refuses what is not CycloneDX', async () => {
  const good = bom(buildroot);
  expect(await validator.validate(good.replace('"library"', '"libary"'))).not.toBeNull();
  expect(await validator.validate(good.replace('"name"', '"unknown"'))).not.toBeNull();
  expect(await validator.validate(good.replace('2026-01-01T00:00:00Z', 'yesterday'))).not.toBeNull();
});

test('packages of Buildroot', async () => {
  expect(buildroot.length).toBeGreaterThan(0);
  expect(await validator.validate(bom(buildroot))).toBeNull();
});

test('packages of Yocto, with licences and CPE of its own SBOM', async () => {
  expect(yocto).toHaveLength(6);
  expect(yocto.every(({ licenses, cpe }) => licenses !== undefined && cpe !== undefined)).toBe(true);
  expect(await validator.validate(bom(yocto))).toBeNull();
});

test('what build systems write besides: nothing known, choices, remarks, odd names', async () => {
  const packages: BomPackage[] = [
    { name: 'a', version: '' },
    { name: 'libstdc++', version: '1:2.0+git0~r0', licenses: 'GPL-3.0-with-GCC-exception & (MIT | Apache-2.0)' },
    { name: 'ä b', version: '"1"', licenses: 'GPL-2.0+ (programs), BSD-3-Clause,', cpe: 'cpe:2.3:a:b:b:1:*:*:*:*:*:*:*' },
    { name: 'a', version: '2', licenses: 'CLOSED' },
  ]; // prettier-ignore
  expect(await validator.validate(bom(packages, 'gateway "ö"'))).toBeNull();
  expect(await validator.validate(bom([]))).toBeNull();
});
