/** The way from a build output to a stored tree: read, lay out, write objects. */
import type { InitramfsConfig } from '../config/types.ts';
import type { Diagnostic, DiagnosticSink } from '../core/diagnostics.ts';
import type { EventSink } from '../core/events.ts';
import { collectBytes, fromUtf8 } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';
import { libostreeFindings } from '../boot/libostree-version.ts';
import { contentOpener } from '../boot/image/content.ts';
import type { ByteStore } from '../platform/store.ts';
import type { RootChecksums } from '../repo/commit.ts';
import { writeTree } from '../repo/commit.ts';
import type { Transaction } from '../repo/transaction.ts';
import type { BuildOutput, OwnerPolicy } from '../sources/types.ts';
import type { SourceSpec } from '../sources/types.ts';
import { readSource } from '../sources/read.ts';
import { checkDeployable } from '../tree/check.ts';
import type { LayoutName } from '../tree/layout.ts';
import { applyLayout } from '../tree/layout.ts';
import type { DeviceSettings } from '../tree/device-files.ts';
import type { BootVariables } from '../tree/boot-variables.ts';
import { COMMIT_VARIABLES, addBootVariables } from '../tree/boot-variables.ts';
import { addDeviceFiles } from '../tree/device-files.ts';
import type { FileTree } from '../tree/types.ts';
import { resolve } from '../tree/walk.ts';
import { readDeviceFiles } from './device-files.ts';
import type { FitStepSettings } from './fit-step.ts';
import { addFit } from './fit-step.ts';
import { addInitramfs } from './initramfs-step.ts';
import type { PackageDocument } from './packages.ts';
import { describePackages } from './packages.ts';

export interface StoreSourceOptions {
  readonly spec: SourceSpec;
  readonly layout: LayoutName;
  readonly branch: string;
  readonly owner?: OwnerPolicy;
  readonly transaction: Transaction;
  readonly events: EventSink;
  /** What is made for the device besides the build's own files; nothing when absent. */
  readonly additions?: {
    readonly initramfs?: InitramfsConfig;
    readonly fit?: FitStepSettings;
    /** What the commit tells U-Boot. */
    readonly variables?: BootVariables;
    /** The update scripts and their settings. */
    readonly device?: DeviceSettings;
  };
}

/** A tree whose objects are staged in the transaction. */
export interface StoredSource extends RootChecksums {
  readonly build: BuildOutput;
  readonly packages: PackageDocument;
  /** Present when the tree can be booted: the name of the one directory below usr/lib/modules with a kernel. */
  readonly kernelRelease?: string;
}

/**
 * Reads a source into a transaction and arranges it. Every problem a deployment would hit is told as a
 * diagnostic event first; then the first error among them is thrown, unless the layout is `none`.
 */
export async function storeSource(options: StoreSourceOptions): Promise<StoredSource> {
  const { spec, layout, branch, owner, transaction, events } = options;
  events({ type: 'stage', stage: 'sources', title: 'Reading the build output' });
  const build = await readSource(spec, transaction, {
    events,
    layout,
    env: process.env,
    ...(owner === undefined ? {} : { owner }),
  });
  const errors: string[] = [];
  const told: Diagnostic[] = [];
  const report: DiagnosticSink = (diagnostic) => {
    told.push(diagnostic);
    events({ type: 'diagnostic', diagnostic });
    if (diagnostic.severity === 'error') errors.push(diagnostic.message);
  };
  build.diagnostics.forEach(report);
  libostreeFindings(build.facts.libostree).forEach(report);

  const { tree, kernel, facts } = build;
  if (layout !== 'none') {
    events({ type: 'stage', stage: 'tree', title: 'Arranging the tree' });
    applyLayout(
      {
        tree,
        init: facts.init,
        packages: facts.packages,
        branch,
        ...(kernel === undefined ? {} : { kernel }),
      },
      layout,
      report,
    );
    const { initramfs, fit, variables, device } = options.additions ?? {};
    if (device !== undefined) {
      addDeviceFiles({ tree, init: facts.init, files: await readDeviceFiles(), settings: device }, report);
    }
    if (initramfs !== undefined && kernel !== undefined && errors.length === 0) {
      const { release } = kernel;
      await addInitramfs({
        tree,
        kernelRelease: release,
        staged: () => transaction.staged(),
        config: initramfs,
        events,
      });
    }
    if (fit !== undefined && kernel !== undefined && errors.length === 0) {
      const arch = fit.arch ?? facts.arch;
      const settings = { ...fit, ...(arch === undefined ? {} : { arch }) };
      await addFit({ tree, kernel, staged: () => transaction.staged(), settings, events, report });
    }
    if (variables !== undefined && kernel !== undefined) {
      const existing = await textOf(tree, COMMIT_VARIABLES, () => transaction.staged());
      addBootVariables(tree, kernel.release, variables, existing, report);
    }
    checkDeployable(tree, told).forEach(report);
    if (errors.length > 0) {
      throw new TreewrightError(
        'input/not-deployable',
        `this tree cannot be deployed:\n${errors.map((message) => `  - ${message}`).join('\n')}`,
        { data: { problems: errors } },
      );
    }
  }

  events({ type: 'stage', stage: 'repo', title: 'Writing objects' });
  const root = await writeTree(transaction, tree);
  return {
    ...root,
    build,
    packages: describePackages(tree, facts.packages, build.owners),
    ...(layout === 'none' || kernel === undefined ? {} : { kernelRelease: kernel.release }),
  };
}

/** The text of a small file of the tree; undefined when there is none. */
async function textOf(
  tree: FileTree,
  path: string,
  staged: () => Promise<ByteStore>,
): Promise<string | undefined> {
  const node = resolve(tree, path)?.node;
  if (node?.kind !== 'file') return undefined;
  const text = fromUtf8(await collectBytes(contentOpener(await staged())(node)));
  if (text !== undefined) return text;
  throw new TreewrightError('input/not-utf8', `/${path} is not UTF-8 text, which libostree refuses`, {
    data: { path },
  });
}
