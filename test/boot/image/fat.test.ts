/** FAT file systems as fsck.vfat and mtools see them. */
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeFat } from '../../../src/boot/image/fat.ts';
import { isTreewrightError } from '../../../src/core/errors.ts';
import type { FatOptions } from '../../../src/formats/fat.ts';
import { planFat } from '../../../src/formats/fat.ts';
import { fatGeometry } from '../../../src/formats/fat-geometry.ts';
import { fatNameProblem } from '../../../src/formats/fat-names.ts';
import { createImageFile } from '../../../src/platform/image-file.ts';
import { describeReference, runTool } from '../../reference/tools.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tw-fat-'));
});
afterAll(() => rm(directory, { recursive: true }));

const MIB = 2048;
const OPTIONS: FatOptions = { sectors: 16 * MIB, label: 'boot', volumeId: 0x1234abcd, time: 1_700_000_001 };

type Files = Readonly<Record<string, Uint8Array>>;

let images = 0;

async function makeFat(files: Files, options: Partial<FatOptions> = {}): Promise<string> {
  const path = join(directory, `${images++}.img`);
  const paths = Object.keys(files);
  const content = (index: number): Uint8Array => files[paths[index] ?? ''] ?? new Uint8Array();
  const plan = planFat(
    paths.map((name, i) => ({ path: name, size: content(i).length })),
    { ...OPTIONS, ...options },
  );
  const image = await createImageFile(path);
  // eslint-disable-next-line @typescript-eslint/require-await -- a stream of bytes at hand
  const open = async function* (index: number): AsyncGenerator<Uint8Array> {
    const bytes = content(index);
    for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
  };
  await writeFat(plan, open, image);
  await image.finish(plan.geometry.sectors * 512);
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

const mtools = { suite: 'disk', env: { MTOOLS_SKIP_CHECK: '0', MTOOLSRC: '/dev/null' } } as const;

/** What fsck.vfat says of an image; throws unless it is clean. */
async function check(image: string): Promise<string> {
  const { stdout } = await runTool('fsck.vfat', ['-n', '-v', image], { suite: 'disk' });
  return stdout;
}

async function content(image: string, path: string): Promise<Buffer> {
  const out = join(directory, 'out');
  await runTool('mcopy', ['-n', '-o', '-i', image, `::${path}`, out], mtools);
  return readFile(out);
}

const bytes = (size: number, seed = 1): Uint8Array =>
  Uint8Array.from({ length: size }, (_, i) => (i * 31 + seed * 17 + (i >> 8)) & 0xff);

describeReference('a FAT partition', ['disk:fsck.vfat', 'disk:mdir', 'disk:mcopy'], () => {
  test('of each kind is clean and gives its files back', async () => {
    const files: Files = {
      'config.txt': bytes(100),
      'KERNEL8.IMG': bytes(300_000, 2),
      'a rather long name of a device tree.dtb': bytes(5000, 3),
      'overlays/README': bytes(0),
      'overlays/vc4-kms-v3d.dtbo': bytes(2049, 4),
      'EFI/BOOT/BOOTAA64.EFI': bytes(70_000, 5),
      'naïve 名前.txt': bytes(3, 6),
    };
    for (const [sectors, type] of [
      [2 * MIB, 12],
      [16 * MIB, 16],
      [40 * MIB, 32],
    ] as const) {
      const image = await makeFat(files, { sectors, type });
      const report = await check(image);
      expect(report).toContain(type === 32 ? '32 bit' : `${type} bit`);
      for (const [path, expected] of Object.entries(files)) {
        expect(Buffer.compare(await content(image, path), expected), path).toBe(0);
      }
    }
  });
});

/** Names that FAT can hold, with the difficulties: dots, blanks, 8.3 look-alikes, tails, other scripts. */
const name = fc
  .oneof(
    fc.stringMatching(/^[A-Z0-9]{1,8}(\.[A-Z0-9]{1,3})?$/),
    fc.stringMatching(/^[a-z0-9_-]{1,12}(\.[a-z]{1,5}){0,2}$/),
    fc.stringMatching(/^[Ll]ong[ a-z]{4,9}\.txt$/),
    fc.stringMatching(/^LONG~[1-9]\.TXT$/),
    fc.stringMatching(/^[.]?[+,;=[\]a-z ]{1,20}x$/),
    // Nothing beyond U+FFFF: mtools shows such characters as two underscores.
    fc.stringMatching(/^[äßжλ名]{1,40}$/u),
    fc.integer({ min: 200, max: 255 }).map((length) => 'n'.repeat(length)),
  )
  .filter((text) => fatNameProblem(text) === undefined);

const fileSet = fc
  .array(
    fc.record({
      path: fc.array(name, { minLength: 1, maxLength: 3 }),
      size: fc.oneof(fc.constant(0), fc.nat(5000), fc.integer({ min: 2040, max: 2056 }), fc.nat(60_000)),
    }),
    { maxLength: 40 },
  )
  .map((entries) => {
    // No two names that FAT takes for one, no file that is a directory as well.
    const files: Record<string, number> = {};
    const kinds = new Map<string, string>();
    for (const { path, size } of entries) {
      const steps = path.map((_, i) => path.slice(0, i + 1).join('/'));
      const kind = (i: number): string =>
        i === steps.length - 1 ? `file ${steps[i] ?? ''}` : (steps[i] ?? '');
      const key = (step: string): string => step.normalize('NFC').toUpperCase();
      const known = steps.map((step) => kinds.get(key(step)));
      if (known.some((there, i) => there !== undefined && there !== kind(i)) || known.at(-1) !== undefined)
        continue;
      for (const [i, step] of steps.entries()) kinds.set(key(step), kind(i));
      files[steps.at(-1) ?? ''] = size;
    }
    return files;
  });

describeReference('random files on a FAT partition', ['disk:fsck.vfat', 'disk:mcopy'], () => {
  test.for([
    [4 * MIB, 12],
    [16 * MIB, 16],
    [34 * MIB, 32],
  ] as const)(
    'of %i sectors, FAT%i: all are found under their long names with their content',
    async ([sectors, type]) => {
      await fc.assert(
        fc.asyncProperty(fileSet, async (sizes) => {
          const files = Object.fromEntries(
            Object.entries(sizes).map(([path, size]) => [path, bytes(size, size)]),
          );
          const image = await makeFat(files, { sectors, type });
          await check(image);
          const out = await mkdtemp(join(directory, 'out-'));
          if (Object.keys(files).length > 0) {
            const tops = new Set(Object.keys(files).map((path) => path.split('/')[0] ?? ''));
            await runTool('mcopy', ['-s', '-n', '-i', image, '::/', out], mtools);
            expect((await readdir(out)).sort()).toEqual([...tops].sort());
          }
          const found = await readdir(out, { recursive: true, withFileTypes: true });
          const paths = found
            .filter((entry) => entry.isFile())
            .map((entry) => relative(out, join(entry.parentPath, entry.name)));
          expect(paths.sort()).toEqual(Object.keys(files).sort());
          for (const [path, expected] of Object.entries(files)) {
            expect(Buffer.compare(await readFile(join(out, path)), expected), path).toBe(0);
          }
          await rm(out, { recursive: true });
          await rm(image);
        }),
        { numRuns: 25 },
      );
    },
  );

  test('200 names of one beginning get 200 aliases, and a name that is an alias keeps it', async () => {
    const files: Record<string, Uint8Array> = { 'LONGNA~3.TXT': bytes(7) };
    for (let i = 0; i < 200; i++) files[`many/long name number ${i}.txt`] = bytes(i);
    for (let i = 0; i < 9; i++) files[`Long name ${i}.txt`] = bytes(10 + i);
    const image = await makeFat(files);
    await check(image);
    const { stdout } = await runTool('mdir', ['-i', image, '::/'], mtools);
    expect(stdout).toMatch(/^LONGNA~1 TXT .*Long name 0\.txt/m);
    expect(stdout).toMatch(/^LONGNA~3 TXT +7 /m);
    expect(stdout).toMatch(/^LONGNA~4 TXT .*Long name 2\.txt/m);
    expect((await runTool('mdir', ['-b', '-i', image, '::/many'], mtools)).stdout.split('\n')).toHaveLength(
      200,
    );
    expect((await content(image, 'many/LONGN~42.TXT')).length).toBeGreaterThan(0);
  });
});

describeReference('the count of clusters decides', ['disk:fsck.vfat'], () => {
  /** The geometry that has exactly this many clusters of one sector. */
  const sectorsFor = (type: 12 | 16 | 32, clusters: number): number => {
    for (let sectors = clusters; ; sectors++) {
      try {
        const geometry = fatGeometry({ sectors, type, sectorsPerCluster: 1 });
        if (geometry.clusters === clusters) return sectors;
        if (geometry.clusters > clusters) throw new Error(`no size has ${clusters} clusters`);
      } catch (error) {
        if (!isTreewrightError(error)) throw error;
        if (sectors > clusters + 2000) throw error;
      }
    }
  };

  test.for([
    [4084, 12],
    [4085, 16],
    [65524, 16],
    [65525, 32],
  ] as const)('%i clusters are FAT%i', async ([clusters, type]) => {
    const sectors = sectorsFor(type, clusters);
    const image = await makeFat(
      { 'a file.bin': bytes(3000), 'd/e': bytes(1) },
      { sectors, type, sectorsPerCluster: 1 },
    );
    const report = await check(image);
    expect(report).toContain(`${type} bit`);
    expect(report).toContain(`${clusters} clusters`);
    for (const other of ([12, 16, 32] as const).filter((kind) => kind !== type)) {
      // The same count is never written as another kind, whatever room its FATs take.
      const { clusters: found } = (() => {
        try {
          return fatGeometry({ sectors, type: other, sectorsPerCluster: 1 });
        } catch {
          return { clusters: 0 };
        }
      })();
      expect(
        found === 0 ||
          (other === 12 ? found < 4085 : other === 16 ? found >= 4085 && found < 65525 : found >= 65525),
      ).toBe(true);
    }
  });

  test('sizes choose the kind, far from the borders', async () => {
    for (const [mebibytes, type] of [
      [1, 12],
      [4, 12],
      [5, 16],
      [64, 16],
      [511, 16],
      [512, 32],
      [4096, 32],
    ] as const) {
      const geometry = fatGeometry({ sectors: mebibytes * MIB });
      expect([mebibytes, geometry.type]).toEqual([mebibytes, type]);
      for (const border of [4085, 65525]) expect(Math.abs(geometry.clusters - border)).toBeGreaterThan(16);
    }
    expect(await check(await makeFat({ x: bytes(9) }, { sectors: 600 * MIB }))).toContain('32 bit');
  });
});

describe('a FAT partition of the same input', () => {
  test('has the same bytes, and others with another id or time', async () => {
    const files = { 'a.txt': bytes(10), 'd/long name.txt': bytes(5000) };
    const digest = async (options: Partial<FatOptions>): Promise<string> =>
      createHash('sha256')
        .update(await readFile(await makeFat(files, options)))
        .digest('hex');
    const first = await digest({});
    expect(await digest({})).toBe(first);
    expect(await digest({ volumeId: 1 })).not.toBe(first);
    expect(await digest({ time: 0 })).not.toBe(first);
  });

  test('writes every byte of its tables, for devices that held something else before', () => {
    const { geometry, ...plan } = planFat([{ path: 'a', size: 1 }], {
      ...OPTIONS,
      sectors: 34 * MIB,
      type: 32,
    });
    let at = 0;
    for (const { offset, bytes: piece } of plan.metadata()) {
      expect(offset).toBe(at);
      at += piece.length;
    }
    expect(at).toBe((geometry.dataStart + geometry.sectorsPerCluster) * 512);
  });
});

describe('what FAT cannot hold', () => {
  const refused = (paths: readonly string[], options: Partial<FatOptions> = {}): string | undefined =>
    codeOf(() =>
      planFat(
        paths.map((path) => ({ path, size: 1 })),
        { ...OPTIONS, ...options },
      ),
    );

  test.for([
    'a:b', 'a?', 'x\\y', 'tab\t', 'end.', 'end ', ' start', '', '.', '..', 'd/../e', '/a', 'a/', 'a//b',
    'n'.repeat(256), 'half \ud800', 'a*', '"', 'p|q', '<', '\u007f',
  ])('the name %j is refused', (path) => {
    expect(refused([path])).toBe('config/fat-name');
  }); // prettier-ignore

  test('names that differ in case only, doubled ones, a file as a directory', () => {
    expect(refused(['a.txt', 'A.TXT'])).toBe('config/fat-name');
    expect(refused(['EFI/a', 'efi/b'])).toBe('config/fat-name');
    expect(refused(['a', 'a'])).toBe('config/fat-name');
    expect(refused(['a', 'a/b'])).toBe('config/fat-name');
    expect(refused(['a/b', 'a'])).toBe('config/fat-name');
    expect(refused(['n'.repeat(255), 'EFI/a', 'EFI/b'])).toBeUndefined();
  });

  test('more files than the root directory of FAT16 has room for', () => {
    // 512 entries: the label, and two for each lower-case name.
    const names = Array.from({ length: 256 }, (_, i) => `f${i}`);
    expect(refused(names.slice(0, 255))).toBeUndefined();
    expect(refused(names)).toBe('config/fat-root-full');
    expect(refused(names, { label: '' })).toBeUndefined();
    expect(refused(names, { sectors: 34 * MIB, type: 32 })).toBeUndefined();
    expect(refused(names.map((path) => `d/${path}`))).toBeUndefined();
  });

  test('more content than there is room, with the size that is enough', () => {
    for (const [sectors, size] of [
      [MIB, 3_000_000],
      [8 * MIB, 100_000_000],
      [64 * MIB, 5_000_000_000],
    ] as const) {
      const files = Array.from({ length: 5 }, (_, i) => ({ path: `f${i}`, size: Math.ceil(size / 5) }));
      try {
        planFat(files, { ...OPTIONS, sectors });
        expect.unreachable();
      } catch (error) {
        if (!isTreewrightError(error)) throw error;
        expect(error.code).toBe('config/fat-too-small');
        const needed = Number(error.data['needed']);
        expect(error.message).toContain(`${needed / 1048576}MiB`);
        expect(planFat(files, { ...OPTIONS, sectors: needed / 512 }).files).toHaveLength(5);
        expect(() => planFat(files, { ...OPTIONS, sectors: (needed - 2097152) / 512 })).toThrow();
      }
    }
  });

  test('a file of 4 GiB, a label, an impossible kind', () => {
    const big = [{ path: 'a', size: 2 ** 32 }];
    expect(codeOf(() => planFat(big, { ...OPTIONS, sectors: 16384 * MIB }))).toBe('input/fat-file-too-large');
    expect(refused(['a'], { label: 'twelve chars' })).toBe('config/fat-label');
    expect(refused(['a'], { label: 'ö' })).toBe('config/fat-label');
    expect(refused(['a'], { sectors: 20 * MIB, type: 32 })).toBe('config/bad-fat');
    expect(refused(['a'], { sectors: 100 })).toBeUndefined();
    expect(refused(['a'], { sectors: 20 })).toBe('config/bad-fat');
  });

  test('a file that changes while it is written', async () => {
    const plan = planFat([{ path: 'a', size: 5 }], OPTIONS);
    const target = { write: () => Promise.resolve() };
    for (const size of [4, 6]) {
      // eslint-disable-next-line @typescript-eslint/require-await -- a stream of bytes at hand
      const open = async function* (): AsyncGenerator<Uint8Array> {
        yield new Uint8Array(size);
      };
      await expect(writeFat(plan, open, target)).rejects.toMatchObject({ code: 'input/changed-file' });
    }
  });
});
