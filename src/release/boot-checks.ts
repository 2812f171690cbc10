/** What a release tells about the boot of its devices before it is published. */
import { join } from 'node:path';
import type { BootPlan } from '../boot/plan.ts';
import type { Diagnostic } from '../core/diagnostics.ts';
import { TreewrightError } from '../core/errors.ts';
import type { EventSink } from '../core/events.ts';
import { readFileIfThere } from '../platform/files.ts';
import type { ReleaseEntry } from './catalog.ts';
import { releaseDirectory } from './manifest.ts';

/** Tells every diagnostic once, and stops at errors: `outcome` says what cannot be had because of them. */
export function tellAll(diagnostics: readonly Diagnostic[], events: EventSink, outcome: string): void {
  const told = new Set<string>();
  const errors: Diagnostic[] = [];
  for (const diagnostic of diagnostics) {
    const key = `${diagnostic.code} ${diagnostic.message}`;
    if (told.has(key)) continue;
    told.add(key);
    events({ type: 'diagnostic', diagnostic });
    if (diagnostic.severity === 'error') errors.push(diagnostic);
  }
  const [first] = errors;
  if (first === undefined) return;
  throw new TreewrightError(
    first.code,
    `${outcome}:\n${errors.map(({ message }) => `  - ${message}`).join('\n')}`,
    { data: { problems: errors.map(({ message }) => message) } },
  );
}

/** Blocks, directories and the inode table of an ext4 file system: a twentieth, and a few MiB for a small one. */
const overhead = (size: number): number => Math.max(size / 20, 4 * 2 ** 20);

/** A /boot of its own holds two deployments while an update is made. */
export function bootPartitionFindings(
  size: number | undefined,
  update: BootPlan | undefined,
  first: BootPlan,
): Diagnostic[] {
  if (size === undefined) return [];
  const needed = update?.bootBytes ?? 2 * first.bootBytes;
  if (needed <= size - overhead(size)) return [];
  const mib = (bytes: number): number => Math.ceil(bytes / 2 ** 20);
  return [
    {
      severity: 'error',
      code: 'input/boot-too-small',
      message:
        `/boot needs ${mib(needed)} MiB for this release and the one before it, and image.boot-partition has ` +
        `${mib(size)} MiB: devices that have it could not deploy this release; make kernel and initramfs smaller`,
    },
  ];
}

/** libostree never touches boot.scr: what was put on a device when it was made stays there. */
export async function scriptFindings(
  output: string,
  parent: ReleaseEntry | undefined,
  script: Uint8Array | undefined,
): Promise<Diagnostic[]> {
  if (parent === undefined || script === undefined) return [];
  const file = join(output, releaseDirectory(parent.version), 'boot/boot.cmd');
  const before = await readFileIfThere(file);
  if (before === undefined || Buffer.compare(before, script) === 0) return [];
  return [
    {
      severity: 'warning',
      code: 'input/boot-script-changed',
      message:
        `the boot script is another one than that of ${parent.version}, and updates do not bring it to devices: those in the ` +
        'field keep theirs; what must change with updates belongs into boot.commit-kargs or the commit',
    },
  ];
}
