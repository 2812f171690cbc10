/**
 * From content to a published release. Everything a pointer leads to is on disk before the pointer: objects,
 * deltas, summary, ref, release directory, and TUF's timestamp last of all. Before the pointers move, the
 * release is read back and checked.
 */
import type { Checksum } from '../core/checksum.ts';
import { listApps } from '../apps/build.ts';
import { utf8 } from '../core/bytes.ts';
import { TreewrightError } from '../core/errors.ts';
import { writeDeltaIndexes } from '../delta/list.ts';
import { commitSize } from '../repo/size.ts';
import { openStore } from '../platform/store.ts';
import { commitMetadata } from '../repo/commit.ts';
import { readCommit } from '../repo/read.ts';
import type { TransactionStats } from '../repo/transaction.ts';
import { beginTransaction } from '../repo/transaction.ts';
import { bootFiles } from './boot-step.ts';
import type { ReleaseEntry } from './catalog.ts';
import { appLayout } from './apps-step.ts';
import type { ContentProvider, ReleaseContent } from './content.ts';
import { differenceFrom } from './content.ts';
import { continuedCommit } from './continued-branch.ts';
import { measureCosts } from './cost-step.ts';
import { readDocuments } from './documents.ts';
import { writeDeltaStats } from './delta-stats.ts';
import { buildDeltas, manifestDelta } from './deltas-step.ts';
import { checkLimits } from './limits.ts';
import type { ManifestApp, ManifestDelta, ReleaseManifest } from './manifest.ts';
import { encodeManifest, manifestTarget } from './manifest.ts';
import { readManifest } from './read-manifest.ts';
import { manifestFile, sha256, writeReleaseDirectory } from './release-files.ts';
import type { SizeSummary } from './size-difference.ts';
import { summarizeSizes } from './size-difference.ts';
import { encodePackages } from './packages.ts';
import { packageFiles } from './packages-step.ts';
import { provenanceStrings } from './provenance.ts';
import { publishMetadata } from './metadata-step.ts';
import type { BranchUpdate } from './repository-step.ts';
import { publishBranch, signStoredCommit, storeCommit } from './repository-step.ts';
import type { ReleaseSession } from './session.ts';
import { keptDeltas, removeStaleDeltas } from './stale-deltas.ts';
import { renumberedUsers } from './renumbered-users.ts';
import { checkNotOlder, commitTimestamp } from './timestamp.ts';
import type { UpdateCosts } from './update-cost.ts';
import { verifyReleaseContent } from './verify-content.ts';

export interface ReleaseReport {
  readonly version: string;
  readonly product: string;
  readonly machine: string;
  readonly branch: string;
  readonly commit: Checksum;
  readonly parent?: Checksum;
  /** True when this version was published already with the same content; only the metadata was signed anew. */
  readonly unchanged: boolean;
  /** The release directory. */
  readonly output: string;
  /** release.json, relative to it. */
  readonly manifest: string;
  readonly objects: { readonly total: number; readonly written: number };
  readonly bytes: { readonly content: number; readonly written: number };
  readonly deltas: readonly ManifestDelta[];
  readonly apps: readonly ManifestApp[];
  /** What a device without any object downloads, in bytes. */
  readonly download: { readonly full: number };
  readonly rollbackOf?: string;
  /** What updates to it cost; absent when nothing was published. */
  readonly updateCost?: UpdateCosts;
  /** What grew since the release before; absent without one, and when nothing was published. */
  readonly sizes?: SizeSummary;
}

const UPDATE_COST = 'update-cost.json';

/** Publishes what `provide` stages as the next release. */
export async function publishContent(
  session: ReleaseSession,
  provide: ContentProvider,
): Promise<ReleaseReport> {
  const { config, repo, pool, events, output } = session;
  const parent = lastOnBranch(session);
  const before = parent?.commit ?? (await continuedCommit(session));
  const transaction = await beginTransaction({ repo, pool });
  let content: ReleaseContent;
  let packagesBytes: Uint8Array | undefined;
  let commit: Checksum;
  let stats: TransactionStats;
  try {
    content = await provide(transaction);
    await warnOfNewKeys(session, parent);
    session.checkpoint();
    const published = session.releases.find(({ version }) => version === content.version);
    if (published !== undefined) {
      await transaction.abort();
      return await republish(session, published, content);
    }
    packagesBytes = content.packages && encodePackages(content.packages);
    commit = await storeCommit(repo, transaction, config.ostree.branch, {
      metadata: commitMetadata({
        version: content.version,
        ref: config.ostree.branch,
        strings: {
          ...config.ostree.metadata,
          ...provenanceStrings(content.source, packagesBytes && sha256(packagesBytes)),
        },
        ...(content.kernelRelease === undefined ? {} : { kernelRelease: content.kernelRelease }),
        ...(content.architecture === undefined ? {} : { architecture: content.architecture }),
      }),
      ...(before === undefined ? {} : { parent: before }),
      subject: `${config.product} ${content.version}`,
      body: '',
      timestamp: await timestampAfter(session, before, content.rollbackOf !== undefined),
      ...content.root,
    });
    stats = await transaction.flush();
  } catch (error) {
    await transaction.abort();
    throw error;
  }
  events({
    type: 'done',
    stage: 'repo',
    summary: `${stats.objects.written} of ${stats.objects.total} objects written`,
  });
  await signStoredCommit(repo, commit, session.signers.ostree ?? []);

  if (parent !== undefined) {
    const findings = await renumberedUsers(openStore(repo), commit, parent.commit);
    for (const diagnostic of findings) events({ type: 'diagnostic', diagnostic });
  }
  const boot = await bootFiles(session, commit, parent, content);
  const documents = await readDocuments(content.documents ?? []);
  await listApps(appLayout(output), content.version, content.apps);
  const packages = await packageFiles(session, content, packagesBytes, parent, created(session));
  const deltas = await buildDeltas(session, content.version, commit);
  const listed = await keptDeltas({
    repo,
    releases: session.releases,
    keep: config.deltas.keep,
    branch: config.ostree.branch,
    commit,
    published: deltas.made.map(({ info }) => info),
  });
  await writeDeltaIndexes(repo, listed);
  const update: BranchUpdate = {
    repo,
    branch: config.ostree.branch,
    commit,
    signers: session.signers.ostree ?? [],
    lastModified: seconds(session),
    listed,
  };
  const costs = await measureCosts(session, deltas, boot.cost, parent, update);
  checkLimits(costs, deltas.plan, config.limits);
  const costBytes = utf8(`${JSON.stringify(costs, null, 2)}\n`);
  const deltaStats = await writeDeltaStats(repo, commit, deltas.made);
  const manifest = await describe(session, content, commit, before, {
    deltas: deltas.made.map(manifestDelta),
    apps: [...content.apps],
    ...(boot.manifest === undefined ? {} : { boot: boot.manifest }),
    ...(documents.files.length === 0 ? {} : { documents: [...documents.manifest] }),
    updateCost: manifestFile(UPDATE_COST, costBytes),
    ...packages.manifest,
  });
  const manifestBytes = encodeManifest(manifest);

  events({ type: 'stage', stage: 'verify', title: 'Reading the release back' });
  await writeReleaseDirectory(output, content.version, manifestBytes, [
    ...boot.files,
    ...documents.files,
    [UPDATE_COST, costBytes],
    ...packages.files,
  ]);
  const known = before === undefined ? [] : [before];
  await verifyReleaseContent(openStore(output), manifest, { events, known });

  session.checkpoint();
  events({ type: 'stage', stage: 'release', title: 'Publishing' });
  await publishBranch(update);
  await publishMetadata(session, {
    manifest,
    bytes: manifestBytes,
    ...(deltaStats === undefined ? {} : { deltaStats }),
  });
  // Nothing leads to them any more; a device in the middle of such an update falls back to objects.
  await removeStaleDeltas(repo, listed);
  events({ type: 'done', stage: 'release', summary: `${config.product} ${content.version} published` });
  return {
    ...report(session, manifest, stats, false),
    updateCost: costs,
    ...(packages.difference === undefined ? {} : { sizes: summarizeSizes(packages.difference) }),
  };
}

function seconds(session: ReleaseSession): number {
  return commitTimestamp(undefined, process.env, session.now);
}

function created(session: ReleaseSession): string {
  return new Date(seconds(session) * 1000).toISOString().replace('.000Z', 'Z');
}

/** Devices hold the public keys they were made with: a commit that none of those has signed stops their updates. */
async function warnOfNewKeys(session: ReleaseSession, parent: ReleaseEntry | undefined): Promise<void> {
  if (parent === undefined) return;
  const { ostree } = await readManifest(openStore(session.output), session.targets, parent);
  const ours = (session.signers.ostree ?? []).map((signer) => Buffer.from(signer.public).toString('base64'));
  if (ours.some((key) => ostree.publicKeys.includes(key))) return;
  session.events({
    type: 'diagnostic',
    diagnostic: {
      severity: 'warning',
      code: 'trust/new-ostree-key',
      message:
        `none of the keys that signed the commit of ${parent.version} (${ostree.publicKeys.join(', ')}) is at hand: ` +
        'devices that know only those will refuse this release. Keep the old key beside the new one, as ' +
        'ostree.old.key, until every device has the new one',
    },
  });
}

function lastOnBranch(session: ReleaseSession): ReleaseEntry | undefined {
  return session.releases.filter(({ branch }) => branch === session.config.ostree.branch).at(-1);
}

/** A way back must be newer than what it replaces: clients compare times when trees are equal, too. */
async function timestampAfter(
  session: ReleaseSession,
  parent: Checksum | undefined,
  strictly: boolean,
): Promise<number> {
  const timestamp = seconds(session);
  if (parent === undefined) return timestamp;
  const before = (await readCommit(openStore(session.repo), parent)).timestamp;
  if (strictly) return Math.max(timestamp, before + 1);
  checkNotOlder(timestamp, before, session.config.ostree.branch);
  return timestamp;
}

async function describe(
  session: ReleaseSession,
  content: ReleaseContent,
  commit: Checksum,
  parent: Checksum | undefined,
  parts: Omit<
    ReleaseManifest,
    'schema' | 'product' | 'machine' | 'version' | 'sequence' | 'created' | 'rollbackOf' | 'source' | 'ostree'
  >,
): Promise<ReleaseManifest> {
  const { config, repo } = session;
  const { timestamp } = await readCommit(openStore(repo), commit);
  const size = await commitSize(repo, commit);
  return {
    schema: 1,
    product: config.product,
    machine: config.machine,
    version: content.version,
    sequence: (session.releases.at(-1)?.sequence ?? 0) + 1,
    created: created(session),
    ...(content.rollbackOf === undefined ? {} : { rollbackOf: content.rollbackOf }),
    source: content.source,
    ostree: {
      branch: config.ostree.branch,
      osname: config.ostree.osname,
      layout: content.layout,
      commit,
      ...(parent === undefined ? {} : { parent }),
      timestamp,
      ...content.root,
      objects: size.objects,
      downloadBytes: size.bytes,
      publicKeys: (session.signers.ostree ?? []).map((signer) =>
        Buffer.from(signer.public).toString('base64'),
      ),
    },
    ...parts,
  };
}

/** The same version again: with the same content only the metadata's expiry is renewed, with another one it is refused. */
async function republish(
  session: ReleaseSession,
  published: ReleaseEntry,
  content: ReleaseContent,
): Promise<ReleaseReport> {
  const { version } = published;
  const manifest = await readManifest(openStore(session.output), session.targets, published);
  const difference = differenceFrom(manifest, content);
  if (difference !== undefined) {
    throw new TreewrightError(
      'input/version-exists',
      `version ${version} is published already with ${difference} (commit ${published.commit}); devices that have ` +
        'it would never see the change: give this build another version with --version, or --next',
      { data: { version, commit: published.commit } },
    );
  }
  const newest = session.releases.filter(({ branch }) => branch === published.branch).at(-1);
  if (newest !== undefined && newest.version !== version) {
    session.events({
      type: 'diagnostic',
      diagnostic: {
        severity: 'warning',
        code: 'input/not-newest',
        message:
          `version ${version} is published already, and ${newest.version} came after it: devices stay with ` +
          `${newest.version}. Give this build a new version, or go back with \`treewright rollback ${version}\``,
      },
    });
    session.checkpoint();
  }
  await publishMetadata(session);
  session.events({
    type: 'done',
    stage: 'release',
    summary: `${version} is published already with this content; its metadata was signed anew`,
  });
  const none = { objects: { total: manifest.ostree.objects, written: 0 }, bytes: { content: 0, written: 0 } };
  return report(session, manifest, none, true);
}

function report(
  session: ReleaseSession,
  manifest: ReleaseManifest,
  stats: TransactionStats,
  unchanged: boolean,
): ReleaseReport {
  const { product, machine, version, ostree, deltas, apps, rollbackOf } = manifest;
  return {
    version,
    product,
    machine,
    branch: ostree.branch,
    commit: ostree.commit,
    ...(ostree.parent === undefined ? {} : { parent: ostree.parent }),
    unchanged,
    output: session.output,
    manifest: manifestTarget(version),
    ...stats,
    deltas,
    apps,
    download: { full: ostree.downloadBytes },
    ...(rollbackOf === undefined ? {} : { rollbackOf }),
  };
}
