/** Partition tables of disks too large to write in a test, as sgdisk and sfdisk read them from sparse files. */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isTreewrightError } from '../../src/core/errors.ts';
import { GPT_END_SECTORS, GPT_START_SECTORS, GPT_TYPE, encodeGpt } from '../../src/formats/gpt.ts';
import { MBR_TABLE_START, encodeMbrTable, encodeProtectiveMbr } from '../../src/formats/mbr.ts';
import { guidBytes, id32FromSeed, uuidFromSeed } from '../../src/formats/uuid.ts';
import { describeReference, runTool } from '../reference/tools.ts';

const TIB = 2 ** 31;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tw-tables-'));
});
afterAll(() => rm(directory, { recursive: true }));

/** A disk of so many sectors with bytes at some places. */
async function disk(sectors: number, pieces: readonly (readonly [number, Uint8Array])[]): Promise<string> {
  const path = join(directory, 'disk.img');
  const file = await open(path, 'w');
  await file.truncate(sectors * 512);
  for (const [offset, bytes] of pieces) await file.write(bytes, 0, bytes.length, offset);
  await file.close();
  return path;
}

function codeOf(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    if (isTreewrightError(error)) return error.code;
    throw error;
  }
  return undefined;
}

describeReference('a partition table', ['disk:sgdisk', 'disk:sfdisk'], () => {
  test.for([[2 * GPT_START_SECTORS], [8 * 1024 * 2048], [2 * TIB - 1], [2 * TIB], [3 * TIB]] as const)(
    'GPT of a disk of %i sectors',
    async ([sectors]) => {
      const { primary, backup } = encodeGpt({
        diskUuid: uuidFromSeed('x', 'disk'),
        sectors,
        firstUsable: GPT_START_SECTORS,
        partitions: [
          {
            name: '36 characters are all there is: äßé名',
            type: GPT_TYPE.linux,
            uuid: uuidFromSeed('x', '1'),
            start: GPT_START_SECTORS,
            sectors: sectors - GPT_START_SECTORS - GPT_END_SECTORS,
            bootable: true,
          },
        ],
      });
      const path = await disk(sectors, [
        [MBR_TABLE_START, encodeProtectiveMbr(sectors)],
        [512, primary],
        [(sectors - GPT_END_SECTORS) * 512, backup],
      ]);
      const { stdout } = await runTool('sgdisk', ['-v', '-i', '1', path], { suite: 'disk' });
      expect(stdout).toContain('No problems found');
      expect(stdout).toContain("Partition name: '36 characters are all there is: äßé名'");
      expect(stdout).toContain('Attribute flags: 0000000000000004');
    },
  );

  test('MBR with partitions beyond what cylinders can say', async () => {
    const start = 100_000_000;
    const table = encodeMbrTable(0xdeadbeef, [
      { bootable: true, type: 0x0c, start: 2048, sectors: 4096 },
      { bootable: false, type: 0x83, start, sectors: 2 * TIB - 1 - start },
    ]);
    const path = await disk(2 * TIB - 1, [[MBR_TABLE_START, table]]);
    const { stdout, stderr } = await runTool('sfdisk', ['--verify', path], { suite: 'disk' });
    expect(stdout + stderr).toContain('No errors detected');
  });
});

describe('what a table cannot hold', () => {
  const entry = { bootable: false, type: 0x83, start: 2048, sectors: 2048 };

  test('MBR: a fifth partition, an end beyond 2 TiB', () => {
    expect(codeOf(() => encodeMbrTable(1, [entry, entry, entry, entry, entry]))).toBe(
      'config/too-many-partitions',
    );
    expect(codeOf(() => encodeMbrTable(1, [{ ...entry, sectors: 2 * TIB - 2048 }]))).toBe(
      'config/disk-too-large',
    );
  });

  test('GPT: a long name, what is no UUID', () => {
    const partition = { ...entry, name: 'x', type: GPT_TYPE.linux, uuid: GPT_TYPE.linux };
    const encode = (more: Partial<typeof partition>) => (): unknown =>
      encodeGpt({
        diskUuid: GPT_TYPE.linux,
        sectors: 9999,
        firstUsable: 34,
        partitions: [{ ...partition, ...more }],
      });
    expect(codeOf(encode({ name: 'x'.repeat(37) }))).toBe('config/bad-partition-name');
    expect(codeOf(() => guidBytes('0fc63daf'))).toBe('config/bad-uuid');
    expect(codeOf(encode({}))).toBeUndefined();
  });
});

test('derived ids differ by seed and purpose, and are valid UUIDs', () => {
  const uuid = uuidFromSeed('gateway', 'disk');
  expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(uuidFromSeed('gateway', 'disk')).toBe(uuid);
  expect(new Set([uuid, uuidFromSeed('gateway', 'root'), uuidFromSeed('gatewaz', 'disk')]).size).toBe(3);
  expect(id32FromSeed('gateway', 'disk')).toBeGreaterThan(0);
  expect(Buffer.from(guidBytes(GPT_TYPE.linux)).toString('hex')).toBe('af3dc60f838472478e793d69d8477de4');
});
