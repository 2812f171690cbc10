/** What the `delta` commands say at the end. */
import type { ApplyDeltaReport } from '../release/delta-apply.ts';
import type { EstimateReport } from '../release/delta-estimate.ts';
import type { MakeDeltaReport } from '../release/delta-make.ts';
import type { ShowDeltaReport, ShownObject } from '../release/delta-show.ts';
import type { VerifyDeltaReport } from '../release/delta-verify.ts';
import {
  formatBytes,
  formatCount,
  formatPercent,
  formatSpan,
  plural,
  printable,
  shellQuote,
  shortChecksum,
  shownPath,
} from './format.ts';
import { columns, nextStep, renderRows } from './summary.ts';
import type { Paint } from './terminal.ts';

/** Objects listed unless all are asked for. */
const LISTED = 20;

interface Ends {
  readonly from?: string | undefined;
  readonly to: string;
}

function endsText({ from, to }: Ends): string {
  return `from ${from === undefined ? 'nothing' : shortChecksum(from)} to ${shortChecksum(to)}`;
}

const FORM_NAMES: Readonly<Record<keyof MakeDeltaReport['forms'], string>> = {
  metadata: 'directories',
  symlink: 'symlinks',
  raw: 'sent whole',
  patch: 'patched',
  splice: 'copied from other files',
  fallback: 'left to a fetch',
};

/** One line a form that occurs. */
function formLines(forms: MakeDeltaReport['forms']): string[] {
  const lines = (Object.keys(FORM_NAMES) as (keyof typeof FORM_NAMES)[])
    .filter((form) => forms[form].objects > 0)
    .map((form) => {
      const { objects, size, payload } = forms[form];
      return [FORM_NAMES[form], formatCount(objects), formatBytes(size), `payload ${formatBytes(payload)}`];
    });
  return columns(lines, [1, 2]);
}

export function deltaMadeText(report: MakeDeltaReport, milliseconds: number, paint: Paint): string {
  const { bytes, looseBytes, requests, parts, superblock, forms, path, repo, reused, published } = report;
  const sizes = parts.map(({ size }) => size);
  const place = published ? `${repo}/${path}` : path;
  const way = report.inline ? 'inside the superblock' : 'beside the superblock';
  const state = reused ? 'was there already' : `made in ${formatSpan(milliseconds)}`;
  return [
    `${paint.green(paint.bold(`delta ${endsText(report)}`))} ${state}`,
    renderRows(
      [
        ['place', shownPath(place)],
        [
          'with it',
          `${formatBytes(bytes)} in ${plural(requests.delta, 'request')} (${formatPercent(bytes, looseBytes)})`,
        ],
        ['without', `${formatBytes(looseBytes)} in ${plural(requests.loose, 'request')}`],
        [
          'parts',
          sizes.length === 0
            ? 'none'
            : `${formatCount(sizes.length)}, the largest ${formatBytes(Math.max(...sizes))}, ${way}`,
        ],
        ['superblock', `${formatBytes(superblock.size)}${report.signed ? ', signed' : ''}`],
        ['objects', formLines(forms)],
        ['summary', published ? 'names the delta' : undefined],
      ],
      paint,
    ),
    published
      ? nextStep(
          `treewright delta verify --repo ${shellQuote(shownPath(repo))}${
            report.from === undefined ? '' : ` --from ${report.from}`
          } --to ${report.to}`,
          'does what a device does',
          paint,
        )
      : nextStep(
          `treewright delta apply ${shellQuote(shownPath(path))} --repo DIR`,
          'or `ostree static-delta apply-offline`',
          paint,
        ),
  ].join('\n\n');
}

export function deltaEstimateText(report: EstimateReport, milliseconds: number, paint: Paint): string {
  const { expectedBytes, deltaRequests, looseBytes, looseRequests, files } = report;
  const shown = files
    .slice(0, LISTED)
    .map(({ paths, size, storedBytes, expectedBytes: bytes, source }) => [
      formatBytes(bytes),
      formatBytes(storedBytes),
      formatBytes(size),
      source === undefined ? 'new' : 'changed',
      paths.length > 1 ? `${paths[0] ?? ''} and ${paths.length - 1} more` : (paths[0] ?? ''),
    ]);
  const [title = '', ...rows] = columns([['with it', 'without', 'content', '', 'path'], ...shown], [0, 1, 2]);
  const more = files.length - shown.length;
  return [
    `${paint.bold(`delta ${endsText(report)}`)} would have about ${formatBytes(expectedBytes)}; nothing was made`,
    renderRows(
      [
        [
          'with it',
          `${formatBytes(expectedBytes)} in ${plural(deltaRequests, 'request')} (${formatPercent(expectedBytes, looseBytes)})`,
        ],
        ['without', `${formatBytes(looseBytes)} in ${plural(looseRequests, 'request')}`],
        ['estimated', `in ${formatSpan(milliseconds)}`],
      ],
      paint,
    ),
    [
      `  ${paint.dim(title)}`,
      ...rows.map((row) => `  ${printable(row)}`),
      ...(more > 0 ? [`  and ${plural(more, 'more file')}; --json lists them`] : []),
    ].join('\n'),
  ].join('\n\n');
}

export function deltaVerifiedText(report: VerifyDeltaReport, paint: Paint): string {
  const { parts, objects, fallbacks, listed, signed } = report;
  return [
    `${paint.green(paint.bold('verified'))}: delta ${endsText(report)}`,
    renderRows(
      [
        ['objects', `${plural(objects, 'object')} out of ${plural(parts, 'part')}, each with its checksum`],
        ['fallbacks', fallbacks === 0 ? undefined : `${formatCount(fallbacks)}, all there`],
        ['found by', listed === undefined ? undefined : foundBy(listed)],
        [
          'signature',
          signed === undefined
            ? 'not looked at: give --public-key to check who signed'
            : `of the ${signed}, by the key given`,
        ],
      ],
      paint,
    ),
  ].join('\n\n');
}

/** Which clients come upon the delta. */
function foundBy({ summary, index }: NonNullable<VerifyDeltaReport['listed']>): string {
  if (summary) return index ? 'summary and delta index' : 'summary; there is no delta index of it';
  return index
    ? 'delta index; the summary does not name it'
    : 'nobody: neither summary nor delta index name it';
}

export function deltaAppliedText(report: ApplyDeltaReport, paint: Paint): string {
  const { repo, to, objects, bytes, parts, ref, present, signed } = report;
  return [
    `${paint.green(paint.bold(shortChecksum(to)))} ${present ? 'was there already' : 'is there'}, ${printable(repo)}`,
    renderRows(
      [
        ['commit', to],
        ['branch', ref],
        [
          'objects',
          present
            ? undefined
            : `${plural(objects.total, 'object')} out of ${plural(parts.total - parts.skipped, 'part')}; ${plural(
                objects.written,
                'new one',
              )}, ${formatBytes(bytes.written)} stored`,
        ],
        ['signature', signed === undefined ? 'not looked at' : `of the ${signed}, by the key given`],
      ],
      paint,
    ),
  ].join('\n\n');
}

export interface ShownParts {
  /** Everything. */
  readonly all?: boolean;
  /** The objects of one part. */
  readonly part?: number;
}

export function deltaShownText(report: ShowDeltaReport, { all, part }: ShownParts, paint: Paint): string {
  const { superblock, metadata, signatures, commit, fallbacks, forms, bytes, memory, byteOrder } = report;
  const signed = Object.entries(signatures.superblock).map(([kind, count]) => `${kind}: ${count}`);
  // Keys that begin with the delta's own path are as long as that.
  const keys = metadata.map(({ key, type, value }) => [
    key.replace(/^deltas\/.*(?=\/\w+$)/, 'deltas/...'),
    type,
    value ?? '',
  ]);
  const left = fallbacks.map(({ checksum, size, paths }) => [
    shortChecksum(checksum),
    formatBytes(size),
    paths[0] ?? '',
  ]);
  return [
    `${paint.bold(`delta ${endsText(report)}`)}, ${formatBytes(bytes)}`,
    renderRows(
      [
        ['from', report.from ?? 'nothing'],
        ['to', report.to],
        ['commit', `${iso(commit.timestamp)} ${commit.version ?? ''} ${commit.subject}`.trimEnd()],
        ['time', iso(report.timestamp)],
        ['byte order', `${byteOrder}-endian`],
        ['superblock', `${formatBytes(superblock.size)}, SHA-256 ${superblock.sha256}`],
        ['signatures', [...signed, `of the commit: ${signatures.commit}`]],
        ['metadata', columns(all === true ? keys : keys.slice(0, LISTED))],
        ['fallbacks', columns(all === true ? left : left.slice(0, LISTED), [1])],
        ['objects', formLines(forms)],
        [
          'memory',
          `up to ${formatBytes(memory.total)} on a device: part ${formatBytes(memory.part)} in a temporary file, ` +
            `window of xz ${formatBytes(memory.window)}, patched object ${formatBytes(memory.patched)}`,
        ],
      ],
      paint,
    ),
    partsText(report, all === true, paint),
    objectsText(
      report,
      { ...(all === undefined ? {} : { all }), ...(part === undefined ? {} : { part }) },
      paint,
    ),
  ].join('\n\n');
}

function partsText({ parts }: ShowDeltaReport, all: boolean, paint: Paint): string {
  const lines = (all ? parts : parts.slice(0, LISTED)).map((part) => [
    String(part.index),
    formatBytes(part.size),
    formatBytes(part.memory.part),
    formatBytes(part.uncompressed),
    formatCount(part.objects),
    formatBytes(part.memory.window),
    formatBytes(part.memory.patched),
    `${part.compression}${part.inline ? ', inside' : ''}`,
  ]);
  const head = ['part', 'size', 'unpacked', 'makes', 'objects', 'window', 'patched', 'stored'];
  const [title = '', ...rows] = columns([head, ...lines], [0, 1, 2, 3, 4, 5, 6]);
  const more = parts.length - lines.length;
  return [
    `  ${paint.dim(title)}`,
    ...rows.map((row) => `  ${row}`),
    ...(more > 0 ? [`  and ${plural(more, 'more part')}; --all lists them`] : []),
  ].join('\n');
}

function objectsText(report: ShowDeltaReport, { all, part }: ShownParts, paint: Paint): string {
  const ofPart =
    part === undefined ? report.objects : report.objects.filter((object) => object.part === part);
  const whole = all === true || part !== undefined;
  const shown = whole ? ofPart : [...ofPart].sort((a, b) => b.payload - a.payload).slice(0, LISTED);
  const head = ['part', 'type', 'form', 'size', 'payload', 'copied', 'object', 'path'];
  const [title = '', ...rows] = columns([head, ...shown.map(objectLine)], [0, 3, 4, 5]);
  const more = ofPart.length - shown.length;
  return [
    `  ${paint.dim(title)}`,
    ...rows.map((row) => `  ${printable(row)}`),
    ...(more > 0
      ? [`  and ${plural(more, 'more object')} with less payload; --part N and --all list them`]
      : []),
  ].join('\n');
}

function objectLine(object: ShownObject): string[] {
  const {
    part,
    type,
    form,
    size,
    payload,
    copied,
    checksum,
    paths,
    source,
    sources = 1,
    sourcePaths,
  } = object;
  const [first = '', ...others] = paths;
  const where = others.length === 0 ? first : `${first} and ${others.length} more`;
  const old = sourcePaths?.[0] ?? (source === undefined ? undefined : shortChecksum(source));
  const rest = sources === 1 ? '' : ` and ${plural(sources - 1, 'other file')}`;
  return [
    String(part),
    type,
    form,
    formatBytes(size),
    formatBytes(payload),
    copied === 0 ? '' : formatBytes(copied),
    shortChecksum(checksum),
    old === undefined || (old === first && sources === 1) ? where : `${where} (from ${old}${rest})`,
  ];
}

function iso(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? String(seconds) : date.toISOString().replace('.000Z', 'Z');
}
