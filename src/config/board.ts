/** Boards: presets of the package by name, and files of the user. */
import { readFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import { boardNames, readBoardFile } from './board-files.ts';
import type { RawBoard } from './board-schema.ts';
import { boardSchema } from './board-schema.ts';
import { isMapping, valueAt } from './check.ts';
import { formatPath, readYaml } from './document.ts';
import { parseSize } from './sizes.ts';
import { nearestName } from './suggest.ts';

/** Where boot attempts and the rollback flag are kept. Offsets and sizes in bytes. */
export type BoardEnvironment =
  | {
      readonly kind: 'u-boot';
      /** One copy, or two redundant ones; absent when it is not known where U-Boot keeps them. */
      readonly locations?: readonly BoardLocation[];
    }
  | {
      readonly kind: 'raw';
      readonly command: string;
      readonly locations: readonly BoardLocation[];
    }
  | {
      readonly kind: 'fat-file';
      /** U-Boot's interface and device:partition. */
      readonly partition: string;
      readonly file: string;
      readonly location: BoardLocation;
    }
  | { readonly kind: 'none' };

export interface BoardLocation {
  readonly device: string;
  /** From the start of the device; a negative one from its end. */
  readonly offset: number;
  readonly size: number;
}

/** The disk of a board; file names are relative to the images of the build. */
export interface BoardDisk {
  readonly table: 'mbr' | 'gpt';
  readonly firstPartition: number;
  readonly alignment: number;
  readonly loaders: readonly { readonly file: string; readonly offset: number }[];
  readonly loaderPartitions: readonly {
    readonly name: string;
    readonly type?: string;
    readonly offset?: number;
    readonly size: number;
    readonly file?: string;
  }[];
  readonly fat?: {
    readonly size: number;
    readonly label: string;
    readonly files: readonly { readonly file: string; readonly to?: string }[];
  };
}

/** A board with every default filled in. */
export interface BoardConfig {
  readonly name: string;
  readonly description: string;
  /** How the values were checked. */
  readonly checked: string;
  readonly arch: 'arm' | 'arm64' | 'riscv64' | 'x86_64';
  readonly device: string;
  /** U-Boot's words for the root partition, when /boot is another. */
  readonly rootDevice?: string;
  readonly loaderDirectory: string;
  readonly addresses: {
    readonly kernel: string;
    readonly ramdisk: string;
    readonly fdt: string;
    readonly scratch: string;
    readonly overlay?: string;
    readonly fit?: string;
  };
  /** Bytes. */
  readonly limits: { readonly kernel?: number; readonly ramdisk?: number; readonly fdt?: number };
  readonly bootCommand?: 'booti' | 'bootz' | 'bootm' | 'fit' | 'zboot';
  readonly deviceTree: { readonly name: string; readonly builtin: string };
  readonly fitConfiguration?: string;
  readonly environment: BoardEnvironment;
  readonly counting?: 'script' | 'u-boot' | 'none';
  readonly prepare: readonly string[];
  readonly kargs: readonly string[];
  readonly disk?: BoardDisk;
}

/** A chain of `extends` longer than this is a mistake. */
const MAX_EXTENDS = 8;

/**
 * The board named `name`: a preset, or a file whose name ends in .yaml, relative to `base`.
 *
 * @throws TreewrightError `config/no-board` when there is none of that name, `config/bad-board` when its file is wrong
 */
export async function loadBoard(name: string, base: string): Promise<BoardConfig> {
  const { values, file } = await readChain(name, base, 0);
  const result = boardSchema.safeParse(values);
  if (!result.success) {
    const lines = result.error.issues.map((issue) => {
      const path = issue.path.map((part) => (typeof part === 'symbol' ? '?' : part));
      if (issue.code === 'unrecognized_keys') {
        return `${file}: unknown key ${issue.keys.map((key) => formatPath([...path, key])).join(', ')}`;
      }
      const found = valueAt(values, path);
      return `${file}: ${formatPath(path)}: expected ${issue.message}, found ${found === undefined ? 'nothing' : JSON.stringify(found)}`;
    });
    throw bad(file, lines);
  }
  return resolveBoard(name.endsWith('.yaml') ? basename(name, '.yaml') : name, result.data);
}

/** The values of a board file over those of the one it extends; mappings join, anything else replaces. */
async function readChain(
  name: string,
  base: string,
  depth: number,
): Promise<{ values: Record<string, unknown>; file: string }> {
  const { file, text } = await readOne(name, base);
  const document = readYaml(text);
  if (document.faults.length > 0) {
    throw bad(
      file,
      document.faults.map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`),
    );
  }
  if (!isMapping(document.value)) throw bad(file, [`${file}: expected a mapping`]);
  const own = { ...document.value };
  const parent = own['extends'];
  if (parent === undefined) return { values: own, file };
  if (typeof parent !== 'string' || depth >= MAX_EXTENDS) {
    throw bad(file, [
      `${file}: extends: expected the name of a board, and no chain of more than ${MAX_EXTENDS}`,
    ]);
  }
  const inherited = await readChain(parent, dirname(file), depth + 1);
  return { values: joined(inherited.values, own), file };
}

function joined(
  base: Readonly<Record<string, unknown>>,
  over: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const out: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const before = out[key];
    // An environment of another kind has other keys.
    const sameKind = !isMapping(value) || !isMapping(before) || value['kind'] === before['kind'];
    out[key] = isMapping(value) && isMapping(before) && sameKind ? joined(before, value) : value;
  }
  return out;
}

async function readOne(name: string, base: string): Promise<{ file: string; text: string }> {
  if (name.endsWith('.yaml') || name.endsWith('.yml')) {
    const file = resolve(base, name);
    try {
      return { file, text: await readFile(file, 'utf8') };
    } catch (error) {
      throw new TreewrightError(
        'config/no-board',
        `the board file ${file} cannot be read (${systemErrorCode(error) ?? 'unknown error'})`,
        { cause: error, data: { file } },
      );
    }
  }
  const names = await boardNames();
  if (names.includes(name)) return readBoardFile(name);
  const near = nearestName(name, names);
  throw new TreewrightError(
    'config/no-board',
    `there is no board ${JSON.stringify(name)}; ${near === undefined ? '' : `did you mean "${near}"? `}` +
      `There are: ${names.join(', ')}, or name a board file that ends in .yaml`,
    { data: { name, names } },
  );
}

function bad(file: string, lines: readonly string[]): TreewrightError {
  return new TreewrightError(
    'config/bad-board',
    `the board file ${file} is wrong:\n${lines.map((line) => `  ${line}`).join('\n')}`,
    { data: { file, faults: lines } },
  );
}

/** The schema has accepted every size. */
function bytes(text: string | number): number {
  if (typeof text === 'number') return text;
  // Number() reads no sign before 0x.
  if (text.startsWith('-')) return -Number(text.slice(1));
  return parseSize(text) ?? Number(text);
}

function resolveBoard(name: string, raw: RawBoard): BoardConfig {
  const { addresses, limits, disk } = raw;
  const fit = raw['fit-configuration'];
  const command = raw['boot-command'];
  return {
    name,
    description: raw.description,
    checked: raw.checked,
    arch: raw.arch,
    device: raw.device,
    ...(raw['root-device'] === undefined ? {} : { rootDevice: raw['root-device'] }),
    loaderDirectory: raw['loader-directory'],
    addresses: {
      kernel: addresses.kernel,
      ramdisk: addresses.ramdisk,
      fdt: addresses.fdt,
      // uEnv.txt is used up before the initramfs goes to the same place.
      scratch: addresses.scratch ?? addresses.ramdisk,
      ...(addresses.overlay === undefined ? {} : { overlay: addresses.overlay }),
      ...(addresses.fit === undefined ? {} : { fit: addresses.fit }),
    },
    limits: {
      ...(limits.kernel === undefined ? {} : { kernel: bytes(limits.kernel) }),
      ...(limits.ramdisk === undefined ? {} : { ramdisk: bytes(limits.ramdisk) }),
      ...(limits.fdt === undefined ? {} : { fdt: bytes(limits.fdt) }),
    },
    ...(command === undefined ? {} : { bootCommand: command }),
    deviceTree: raw['device-tree'],
    ...(fit === undefined ? {} : { fitConfiguration: fit }),
    environment: resolveEnvironment(raw.environment),
    ...(raw.counting === undefined ? {} : { counting: raw.counting }),
    prepare: raw.prepare,
    kargs: raw.kargs,
    ...(disk === undefined ? {} : { disk: resolveDisk(disk) }),
  };
}

function resolveEnvironment(raw: RawBoard['environment']): BoardEnvironment {
  const copies = (
    device: string,
    offset: string | number,
    redundant: string | number | undefined,
    size: string,
  ): BoardLocation[] =>
    [offset, ...(redundant === undefined ? [] : [redundant])].map((at) => ({
      device,
      offset: bytes(at),
      size: bytes(size),
    }));
  switch (raw.kind) {
    case 'none':
      return { kind: 'none' };
    case 'u-boot':
      return raw.device === undefined || raw.offset === undefined || raw.size === undefined
        ? { kind: 'u-boot' }
        : { kind: 'u-boot', locations: copies(raw.device, raw.offset, raw.redundant, raw.size) };
    case 'raw':
      return {
        kind: 'raw',
        command: raw.command,
        locations: copies(raw.device, raw.offset, raw.redundant, raw.size),
      };
    case 'fat-file':
      return {
        kind: 'fat-file',
        partition: raw.partition,
        file: raw.file,
        location: { device: raw.device, offset: 0, size: bytes(raw.size) },
      };
  }
}

function resolveDisk(disk: NonNullable<RawBoard['disk']>): BoardDisk {
  const { fat } = disk;
  return {
    table: disk.table,
    firstPartition: bytes(disk['first-partition']),
    alignment: bytes(disk.alignment),
    loaders: disk.loaders.map(({ file, offset }) => ({ file, offset: bytes(offset) })),
    loaderPartitions: disk['loader-partitions'].map(({ name, type, offset, size, file }) => ({
      name,
      size: bytes(size),
      ...(type === undefined ? {} : { type }),
      ...(offset === undefined ? {} : { offset: bytes(offset) }),
      ...(file === undefined ? {} : { file }),
    })),
    ...(fat === undefined
      ? {}
      : {
          fat: {
            size: bytes(fat.size),
            label: fat.label,
            files: fat.files.map(({ file, to }) => ({ file, ...(to === undefined ? {} : { to }) })),
          },
        }),
  };
}
