/** `treewright inspect`: what a build output is, and every problem a deployment of it would hit. */
import type { Diagnostic } from '../core/diagnostics.ts';
import type { EventSink } from '../core/events.ts';
import { libostreeFindings } from '../boot/libostree-version.ts';
import { detectSource } from '../sources/detect.ts';
import { hashingSink } from '../sources/hashing-sink.ts';
import { readSource } from '../sources/read.ts';
import type { BuildOutput } from '../sources/types.ts';
import { checkDeployable } from '../tree/check.ts';
import { applyLayout } from '../tree/layout.ts';
import type { InitSystem } from '../tree/types.ts';

export interface InspectOptions {
  readonly path: string;
  /** The image, where a Yocto deploy directory has several. */
  readonly image?: string;
  readonly events: EventSink;
}

export interface NamedSize {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
}

export interface InspectReport {
  readonly kind: BuildOutput['kind'];
  /** What made it, such as `Buildroot 2025.02.16`. */
  readonly tool?: string;
  readonly machine?: string;
  /** As `uname -m` prints it. */
  readonly arch?: string;
  readonly version?: string;
  readonly kernel?: { readonly release: string; readonly imageName: string; readonly size: number };
  readonly initramfs?: { readonly size: number };
  readonly deviceTrees: readonly NamedSize[];
  readonly init: InitSystem;
  readonly usrMerged: boolean;
  readonly osRelease: Readonly<Record<string, string>>;
  /** Version of libostree in the tree. */
  readonly libostree?: string;
  readonly containerRuntimes: readonly string[];
  /** Regular files, hard links counted once, and their bytes. */
  readonly files: number;
  readonly bytes: number;
  readonly packages: number;
  /** Errors first; they would make a release fail. */
  readonly problems: readonly Diagnostic[];
}

/** Reads the source once without storing anything, and arranges it as a release would. */
export async function inspectSource({ path, image, events }: InspectOptions): Promise<InspectReport> {
  const spec = await detectSource(path, image);
  events({ type: 'stage', stage: 'sources', title: 'Reading the build output' });
  const build = await readSource(spec, hashingSink(), { events, env: process.env });
  const { tree, kernel, facts } = build;
  const problems: Diagnostic[] = [...build.diagnostics, ...libostreeFindings(facts.libostree)];
  applyLayout(
    { tree, init: facts.init, packages: facts.packages, ...(kernel === undefined ? {} : { kernel }) },
    'ostree',
    (diagnostic) => problems.push(diagnostic),
  );
  problems.push(...checkDeployable(tree, problems));
  events({ type: 'done', stage: 'sources', summary: `${facts.files} files read` });

  const rank = { error: 0, warning: 1, note: 2 } as const;
  const seen = new Set<string>();
  return {
    kind: build.kind,
    ...pick(facts, ['tool', 'machine', 'arch', 'version', 'libostree']),
    ...(kernel === undefined
      ? {}
      : {
          kernel: { release: kernel.release, imageName: kernel.imageName, size: sizeOf(kernel.image) },
          ...(kernel.initramfs === undefined ? {} : { initramfs: { size: sizeOf(kernel.initramfs) } }),
        }),
    deviceTrees: [...(kernel?.deviceTrees ?? [])].map(([name, file]) => ({ name, size: sizeOf(file) })),
    init: facts.init,
    usrMerged: facts.usrMerged,
    osRelease: facts.osRelease,
    containerRuntimes: facts.containerRuntimes,
    files: facts.files,
    bytes: facts.contentBytes,
    packages: facts.packages.length,
    // Reading and checking may find the same thing twice.
    problems: problems
      .filter(({ code, message }) => !seen.has(`${code} ${message}`) && seen.add(`${code} ${message}`))
      .sort((a, b) => rank[a.severity] - rank[b.severity]),
  };
}

function sizeOf({
  content,
}: {
  content: { kind: 'stored'; size: number } | { kind: 'inline'; bytes: Uint8Array };
}): number {
  return content.kind === 'stored' ? content.size : content.bytes.length;
}

/** The members of `value` that are there. */
function pick<T extends object, K extends keyof T>(value: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(
    keys.filter((key) => value[key] !== undefined).map((key) => [key, value[key]]),
  ) as Pick<T, K>;
}
