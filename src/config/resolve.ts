/** From the validated text to what the stages use: paths, durations and the defaults that depend on other keys. */
import { basename, dirname, relative, resolve, sep } from 'node:path';
import type { Diagnostic, DiagnosticSink } from '../core/diagnostics.ts';
import type { ErrorCode } from '../core/errors.ts';
import type { Fault, ValuePath, YamlDocument } from './document.ts';
import { formatPath } from './document.ts';
import { parseDuration } from './durations.ts';
import { APP_NAME, toIdentifier } from './names.ts';
import type { BoardConfig } from './board.ts';
import type { RawConfig } from './schema.ts';
import { parseSize } from './sizes.ts';
import type {
  AppConfig,
  BootConfig,
  Config,
  DeltasConfig,
  DeviceConfig,
  ExpiryConfig,
  FitConfig,
  ImageConfig,
  LimitsConfig,
  SourceConfig,
} from './types.ts';

export interface Resolved {
  readonly config: Config;
  readonly faults: readonly Fault[];
}

/** `file` is absolute; `shown` is how messages name it. */
export function resolveConfig(
  raw: RawConfig,
  document: YamlDocument,
  file: string,
  shown: string,
  board: BoardConfig | undefined,
  onDiagnostic: DiagnosticSink,
): Resolved {
  const base = dirname(file);
  const faults: Fault[] = [];
  const fault = (path: ValuePath, message: string): void => {
    faults.push({
      ...document.positionOf(path),
      path: formatPath(path),
      message: `${formatPath(path)}: ${message}`,
    });
  };
  const config: Config = {
    file,
    product: raw.product,
    machine: raw.machine,
    source: resolveSource(raw.source, base),
    version:
      raw.version === 'from-source' ? { kind: 'from-source' } : { kind: 'literal', version: raw.version },
    ostree: {
      branch: raw.ostree.branch ?? `${raw.product}/${raw.machine}/stable`,
      osname: raw.ostree.osname ?? raw.product,
      layout: raw.ostree.layout,
      metadata: Object.fromEntries(
        raw.ostree.metadata.map((entry): [string, string] => {
          const equals = entry.indexOf('=');
          return [entry.slice(0, equals), entry.slice(equals + 1)];
        }),
      ),
      ...(raw.ostree.continues === undefined ? {} : { continues: resolve(base, raw.ostree.continues) }),
    },
    boot: resolveBoot(raw.boot, board, base),
    device: resolveDevice(raw.device),
    image: resolveImage(raw.image),
    deltas: resolveDeltas(raw.deltas, base),
    limits: resolveLimits(raw.limits),
    apps: resolveApps(raw.apps, base, fault),
    documents: raw.documents.map((document) => resolve(base, document)),
    signing: { keys: resolve(base, raw.signing.keys), expires: resolveExpiry(raw.signing.expires) },
    output: resolve(base, raw.output),
  };
  if (config.boot.loader === 'extlinux') {
    if (config.boot.overlays.length > 0) {
      fault(
        ['boot', 'overlays'],
        'libostree writes no FDTOVERLAYS, so that nothing would apply them with loader: extlinux; apply them to the device tree in the build (fdtoverlay of dtc), or use loader: u-boot',
      );
    }
    if (config.boot.commitKargs.length > 0) {
      fault(
        ['boot', 'commit-kargs'],
        'nothing reads the kernel arguments of a commit with loader: extlinux; use boot.kargs, or loader: u-boot',
      );
    }
    if (config.boot.fit !== undefined) {
      fault(
        ['boot', 'fit'],
        'with loader: extlinux U-Boot takes the empty initramfs beside a FIT image instead of the one inside; use loader: u-boot',
      );
    }
    if (config.boot.rollback.counting === 'script') {
      fault(
        ['boot', 'rollback', 'counting'],
        'there is no script with loader: extlinux; expected u-boot where U-Boot has CONFIG_BOOTCOUNT_LIMIT, or none',
      );
    }
  }
  const fit = raw.boot.fit;
  if (fit !== undefined && (fit.keys === undefined) !== (fit.key === undefined)) {
    fault(
      ['boot', 'fit', fit.keys === undefined ? 'key' : 'keys'],
      'a signature needs both keys: (a directory) and key: (the name of a key in it); without either the image is not signed',
    );
  }
  const secrets: [ValuePath, string][] = [[['signing', 'keys'], config.signing.keys]];
  const fitKeys = config.boot.fit?.signing?.keys;
  if (fitKeys !== undefined) secrets.push([['boot', 'fit', 'keys'], fitKeys]);
  for (const [path, keys] of secrets) {
    if (isInside(keys, config.output)) {
      fault(
        path,
        `the keys (${keys}) lie inside the release directory (${config.output}) and would be published with it; keep them elsewhere`,
      );
    }
    // An archive holds no paths of this machine, so this can only be true of a directory.
    if (config.source.kind === 'rootfs' && isInside(keys, config.source.rootfs)) {
      fault(
        path,
        `the keys (${keys}) lie inside the root filesystem (${config.source.rootfs}) and would be installed on every device; keep them elsewhere`,
      );
    }
  }
  if (config.source.kind === 'rootfs') {
    const { rootfs } = config.source;
    if (isInside(config.output, rootfs)) {
      fault(
        ['output'],
        `the release directory (${config.output}) lies inside the root filesystem (${rootfs}), so that each release would contain the ones before it; name another directory`,
      );
    }
  }
  const warn = (path: ValuePath, code: ErrorCode, message: string): void => {
    const { line, column } = document.positionOf(path);
    const diagnostic: Diagnostic = {
      severity: 'warning',
      code,
      message: `${formatPath(path)}: ${message}`,
      where: { kind: 'text', file: shown, line, column },
    };
    onDiagnostic(diagnostic);
  };
  if (faults.length === 0) warnAboutOddities(config, raw.boot.kargs, document, warn);
  return { config, faults };
}

function resolveSource(source: RawConfig['source'], base: string): SourceConfig {
  const release = source['kernel-release'];
  const trees = source['device-trees'];
  const bootFiles = {
    ...(source.kernel === undefined ? {} : { kernel: resolve(base, source.kernel) }),
    ...(release === undefined ? {} : { kernelRelease: release }),
    ...(source.initramfs === undefined ? {} : { initramfs: resolve(base, source.initramfs) }),
    ...(trees === undefined ? {} : { deviceTrees: trees.map((tree) => resolve(base, tree)) }),
  };
  if ('buildroot' in source) {
    return { kind: 'buildroot', output: resolve(base, source.buildroot), ...bootFiles };
  }
  if ('rootfs' in source) {
    return {
      kind: 'rootfs',
      rootfs: resolve(base, source.rootfs),
      ...(source.owner === undefined ? {} : { owner: source.owner }),
      ...bootFiles,
    };
  }
  const info = source['build-info'];
  return {
    kind: 'yocto',
    deploy: resolve(base, source.yocto),
    ...(source.image === undefined ? {} : { image: source.image }),
    ...(source.pkgdata === undefined ? {} : { pkgdata: resolve(base, source.pkgdata) }),
    ...(info === undefined ? {} : { buildInfo: resolve(base, info) }),
    ...bootFiles,
  };
}

/** The board's arguments come first, so that the configuration's, which come last, win. */
function resolveBoot(boot: RawConfig['boot'], board: BoardConfig | undefined, base: string): BootConfig {
  const { loader, root, overlays, initramfs, fit, rollback } = boot;
  return {
    loader,
    ...(board === undefined ? {} : { board }),
    kargs: [...(board?.kargs ?? []), ...(root === undefined ? [] : [`root=${root}`, 'rw']), ...boot.kargs],
    commitKargs: boot['commit-kargs'],
    overlays,
    initramfs,
    ...(fit === undefined ? {} : { fit: resolveFit(fit, base) }),
    rollback: {
      attempts: rollback.attempts,
      profile: rollback.profile,
      ...(rollback.counting === undefined ? {} : { counting: rollback.counting }),
    },
  };
}

function resolveFit(
  { keys, key, algorithm, compression, load, ...rest }: NonNullable<RawConfig['boot']['fit']>,
  base: string,
): FitConfig {
  return {
    ...(keys === undefined || key === undefined
      ? {}
      : { signing: { keys: resolve(base, keys), key, algorithm } }),
    compression,
    ...(load === undefined ? {} : { load }),
    ...(rest.default === undefined ? {} : { default: rest.default }),
  };
}

function resolveDevice(device: RawConfig['device']): DeviceConfig {
  const { scripts, watchdog } = device;
  return {
    scripts,
    ...(watchdog === undefined
      ? {}
      : { watchdog: { device: watchdog, timeout: device['watchdog-timeout'] } }),
  };
}

function resolveImage(image: RawConfig['image']): ImageConfig {
  const { label, size, margin, remote } = image;
  const boot = image['boot-partition'];
  return {
    label,
    // The schema has accepted these sizes.
    ...(size === undefined ? {} : { size: parseSize(size) ?? 0 }),
    margin: margin.endsWith('%')
      ? { ratio: Number(margin.slice(0, -1)) / 100 }
      : { bytes: parseSize(margin) ?? 0 },
    ...(boot === undefined ? {} : { bootPartition: parseSize(boot) ?? 0 }),
    ...(remote === undefined ? {} : { remote }),
    sysrootReadonly: image['sysroot-readonly'],
    seedVar: image['seed-var'],
  };
}

/** Releases that get a delta when nothing is said about it. */
const DEFAULT_LAST = 3;

function resolveDeltas(deltas: RawConfig['deltas'], base: string): DeltasConfig {
  const { last, versions, fleet } = deltas.from;
  const memory = deltas['max-device-memory'];
  const named = versions.length > 0 || fleet !== undefined;
  return {
    from: {
      last: last ?? (named ? 0 : DEFAULT_LAST),
      versions,
      ...(fleet === undefined ? {} : { fleet: resolve(base, fleet) }),
    },
    fromNothing: deltas['from-nothing'],
    maxRatio: deltas['max-ratio'],
    // The schema has accepted these sizes.
    ...(deltas.budget === undefined ? {} : { budget: parseSize(deltas.budget) ?? 0 }),
    keep: deltas.keep,
    ...(memory === undefined ? {} : { maxDeviceMemory: parseSize(memory) ?? 0 }),
  };
}

function resolveLimits(limits: RawConfig['limits']): LimitsConfig {
  const download = limits['max-download'];
  const requests = limits['max-requests'];
  const writes = limits['max-device-writes'];
  const boot = limits['max-boot'];
  return {
    ...(download === undefined ? {} : { download: parseSize(download) ?? 0 }),
    ...(requests === undefined ? {} : { requests }),
    ...(writes === undefined ? {} : { deviceWrites: parseSize(writes) ?? 0 }),
    ...(boot === undefined ? {} : { boot: parseSize(boot) ?? 0 }),
  };
}

function resolveApps(
  apps: RawConfig['apps'],
  base: string,
  fault: (path: ValuePath, message: string) => void,
): AppConfig[] {
  const seen = new Map<string, number>();
  return apps.map((app, index) => {
    const compose = resolve(base, app.compose);
    const name = app.name ?? toIdentifier(basename(dirname(compose))) ?? '';
    if (app.name === undefined) {
      const first = seen.get(name);
      if (!APP_NAME.test(name)) {
        fault(
          ['apps', index, 'compose'],
          `the folder ${JSON.stringify(basename(dirname(compose)))} gives no usable app name; add name:`,
        );
      } else if (first !== undefined) {
        fault(
          ['apps', index, 'compose'],
          `its folder gives it the name ${JSON.stringify(name)}, which apps[${first}] has already; add name:`,
        );
      }
    }
    seen.set(name, index);
    return { name, compose };
  });
}

function resolveExpiry(expires: RawConfig['signing']['expires']): ExpiryConfig {
  // The schema has accepted every one of them.
  const seconds = (duration: string): number => parseDuration(duration) ?? 0;
  return {
    root: seconds(expires.root),
    targets: seconds(expires.targets),
    snapshot: seconds(expires.snapshot),
    timestamp: seconds(expires.timestamp),
  };
}

function isInside(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !way.startsWith(sep));
}

/** Legal, and hardly ever what was meant. */
function warnAboutOddities(
  config: Config,
  kargs: readonly string[],
  document: YamlDocument,
  warn: (path: ValuePath, code: ErrorCode, message: string) => void,
): void {
  const { boot, deltas, image, signing, source } = config;
  const given = (...path: string[]): boolean => document.sourceOf(path) !== undefined;
  const order = ['timestamp', 'snapshot', 'targets', 'root'] as const;
  order.forEach((shorter, index) => {
    const longer = order[index + 1];
    if (longer !== undefined && signing.expires[shorter] > signing.expires[longer]) {
      warn(
        ['signing', 'expires', given('signing', 'expires', shorter) ? shorter : longer],
        'config/expiry-order',
        `${shorter} metadata would outlive ${longer} metadata, so that it never decides when devices notice a frozen server; make ${shorter} the shorter one`,
      );
    }
  });
  if (deltas.maxRatio > 1) {
    warn(
      ['deltas', 'max-ratio'],
      'config/max-ratio',
      `above 1, deltas are kept that are larger than what they replace`,
    );
  }
  if (boot.loader === 'none') {
    for (const path of [
      ['boot', 'rollback', 'attempts'],
      ['boot', 'kargs', 0],
      ['boot', 'board'],
      ['boot', 'root'],
      ['boot', 'commit-kargs', 0],
      ['boot', 'overlays', 0],
      ['boot', 'fit'],
    ]) {
      if (document.sourceOf(path) !== undefined) {
        warn(path.slice(0, 2), 'config/no-boot-loader', 'it has no effect with loader: none');
      }
    }
  }
  if (boot.loader === 'extlinux' && given('boot', 'rollback', 'attempts')) {
    warn(
      ['boot', 'rollback', 'attempts'],
      'config/extlinux-attempts',
      "it has no effect with loader: extlinux; bootlimit in U-Boot's own environment is the number",
    );
  }
  if (given('device', 'watchdog-timeout') && !given('device', 'watchdog')) {
    warn(['device', 'watchdog-timeout'], 'config/no-watchdog', 'it has no effect without watchdog:');
  }
  if (image.size !== undefined && given('image', 'margin')) {
    warn(['image', 'margin'], 'config/fixed-size', 'it has no effect with size:');
  }
  const seen = new Set<string>();
  kargs.forEach((argument, index) => {
    const path = ['boot', 'kargs', index];
    if (/^(ostree|init)=/.test(argument)) {
      const name = argument.slice(0, argument.indexOf('='));
      warn(
        path,
        'config/reserved-karg',
        `${name}= is set for each deployment by libostree; this one would contradict it`,
      );
    }
    if (/^root=/.test(argument) && given('boot', 'root')) {
      warn(path, 'config/second-root', 'boot.root sets root= already, and the kernel takes the last one');
    }
    if (seen.has(argument)) warn(path, 'config/repeated-karg', `${argument} is in the list twice`);
    seen.add(argument);
  });
  const build =
    source.kind === 'buildroot' ? source.output : source.kind === 'yocto' ? source.deploy : undefined;
  if (build !== undefined && isInside(config.output, build)) {
    warn(
      given('output') ? ['output'] : ['source'],
      'config/output-in-build',
      `the release directory (${config.output}) lies inside the build's own (${build}), where a clean build deletes it`,
    );
  }
}
