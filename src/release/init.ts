/** `treewright init`: a configuration that fits the build output at hand, its schema, and keys. */
import { lstat, mkdir, readdir, writeFile } from 'node:fs/promises';
import { basename, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { configJsonSchemaText } from '../config/json-schema.ts';
import { DEFAULT_CONFIG_FILE, parseConfig } from '../config/load.ts';
import { IDENTIFIER, toIdentifier } from '../config/names.ts';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import type { EventSink } from '../core/events.ts';
import { writeFileAtomic } from '../platform/files.ts';
import { detectSource } from '../sources/detect.ts';
import type { SourceSpec } from '../sources/types.ts';
import { KEY_ROLES, generateKeys } from '../trust/keys.ts';
import { findSources, imagesOf, machineOf, sourcePath } from './init-detect.ts';
import { SCHEMA_FILE, configTemplate } from './init-template.ts';

export interface InitOptions {
  /** The folder of the product; made when it is not there. */
  readonly dir: string;
  /** The build output, when it is not to be looked for. */
  readonly source?: string;
  readonly product?: string;
  readonly machine?: string;
  /** Replaces an existing configuration. Keys are never replaced. */
  readonly force?: boolean;
  readonly events: EventSink;
}

export interface InitReport {
  /** The configuration. */
  readonly file: string;
  readonly schema: string;
  readonly product: string;
  readonly machine: string;
  /** False when the machine is a guess. */
  readonly machineKnown: boolean;
  /** Absent when no build output was found. */
  readonly source?: { readonly kind: SourceSpec['kind']; readonly path: string };
  readonly keys: {
    readonly dir: string;
    /** Roles that have got a new key. */
    readonly made: readonly string[];
    /** Roles that have had one already. */
    readonly kept: readonly string[];
  };
}

/**
 * Writes treewright.yaml, its JSON Schema and missing keys into `dir`.
 * Throws `usage/exists` when there is a configuration already, `usage/bad-name`, and what detection throws
 * when a source is given.
 */
export async function initProject(options: InitOptions): Promise<InitReport> {
  const { events } = options;
  const dir = resolve(options.dir);
  const file = join(dir, DEFAULT_CONFIG_FILE);
  if (options.force !== true) await refuseExisting(file);

  events({ type: 'stage', stage: 'sources', title: `Looking for a build output in ${dir}` });
  const found =
    options.source === undefined
      ? await findSources(dir)
      : await imagesOf(await detectSource(options.source));
  const [source, ...alternatives] = found;
  if (source?.kind === 'rootfs' && isWithin(dir, source.rootfs)) throw insideRootfs(dir, source.rootfs);
  if (source?.kind === 'yocto' && source.image !== undefined) {
    events({
      type: 'diagnostic',
      diagnostic: {
        severity: 'warning',
        code: 'input/several-images',
        message:
          `${source.deploy} has several images; ${source.image} was taken, the others stand beside it as comments: ` +
          'see that it is the one that devices run',
      },
    });
  }
  const product = named('product', options.product) ?? toIdentifier(basename(dir)) ?? 'product';
  const known = named('machine', options.machine) ?? (source && (await machineOf(source)));
  const machine = known ?? 'machine';
  const report = {
    file,
    schema: join(dir, SCHEMA_FILE),
    product,
    machine,
    machineKnown: known !== undefined,
    ...(source === undefined ? {} : { source: { kind: source.kind, path: sourcePath(source) } }),
  };
  const text = configTemplate({
    dir,
    product,
    machine,
    machineKnown: report.machineKnown,
    ...(source === undefined ? {} : { source }),
    alternatives,
  });
  // A configuration that this very program refused would be a bad start.
  const config = await parseConfig(text, file, (diagnostic) => events({ type: 'diagnostic', diagnostic }));
  events({
    type: 'done',
    stage: 'sources',
    summary: source === undefined ? 'no build output found' : `${source.kind}: ${sourcePath(source)}`,
  });

  events({ type: 'stage', stage: 'trust', title: 'Making ed25519 keys' });
  await mkdir(dir, { recursive: true });
  const keys = await makeKeys(config.signing.keys);
  events({
    type: 'done',
    stage: 'trust',
    summary: `${keys.made.length} keys made, ${keys.kept.length} kept`,
  });
  await writeFileAtomic(report.schema, configJsonSchemaText());
  await writeFileAtomic(file, text);
  return { ...report, keys };
}

/** Keys and releases in the very tree that is released would be installed on every device. */
function insideRootfs(dir: string, rootfs: string): TreewrightError {
  return new TreewrightError(
    'usage/inside-rootfs',
    `${dir} is${dir === rootfs ? '' : ' inside'} the root filesystem itself; keys and releases made here would become part of it`,
    { data: { path: dir, hint: `run it in a folder of the project: treewright init --source ${rootfs}` } },
  );
}

function isWithin(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way === '' || (way.split(sep)[0] !== '..' && !isAbsolute(way));
}

async function refuseExisting(file: string): Promise<void> {
  try {
    await lstat(file);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return;
    throw error;
  }
  throw new TreewrightError('usage/exists', `${file} is there already and is not overwritten`, {
    data: { file, hint: 'edit it, or replace it with --force; keys are kept in either case' },
  });
}

function named(what: string, name: string | undefined): string | undefined {
  if (name === undefined || IDENTIFIER.test(name)) return name;
  throw new TreewrightError(
    'usage/bad-name',
    `${JSON.stringify(name)} cannot name the ${what}: use ASCII letters, digits, ".", "_", "+" and "-", beginning with a letter or digit`,
  );
}

/** A role whose public half is there has its secret half elsewhere, as the root key should have. */
async function makeKeys(dir: string): Promise<InitReport['keys']> {
  let names: string[] = [];
  try {
    names = await readdir(dir);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
  const kept = KEY_ROLES.filter((role) => names.some((name) => name.startsWith(`${role}.`)));
  const made = KEY_ROLES.filter((role) => !kept.includes(role));
  if (made.length > 0) await generateKeys(dir, { roles: made });
  // Inside the folder it works for any version control root, and no file of the user's is touched.
  await writeFile(join(dir, '.gitignore'), '*.key\n', { flag: 'wx' }).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  });
  return { dir, made, kept };
}
