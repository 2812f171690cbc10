/** From a board of the configuration to what `boot` knows of one. */
import type { BoardConfig } from '../config/board.ts';
import { TreewrightError } from '../core/errors.ts';
import type { BoardArch, EnvironmentStore } from '../boot/board.ts';
import type { BootOptions } from '../boot/plan.ts';

const ARCH: Readonly<Record<BoardConfig['arch'], BoardArch>> = {
  arm: 'arm',
  arm64: 'arm64',
  riscv64: 'riscv',
  x86_64: 'x86_64',
};

/** `bootPartition`: /boot has a partition of its own on the disk, right before the root. */
export function boardOf(config: BoardConfig, bootPartition = false): NonNullable<BootOptions['board']> {
  const { name, device, loaderDirectory, addresses, bootCommand, deviceTree, prepare } = config;
  const rootDevice = config.rootDevice ?? (bootPartition ? rootAfterBoot(config) : undefined);
  return {
    name,
    arch: ARCH[config.arch],
    device,
    loaderDirectory,
    ...(rootDevice === undefined ? {} : { rootDevice }),
    addresses,
    limits: config.limits,
    deviceTree,
    environment: environmentOf(config),
    ...(bootCommand === undefined ? {} : { bootCommand }),
    ...(config.fitConfiguration === undefined ? {} : { fitConfiguration: config.fitConfiguration }),
    ...(prepare.length === 0 ? {} : { prepare }),
  };
}

/** The partition of the root in U-Boot's words, in hexadecimal; the order is that of boot/image/disk-partitions.ts. */
function rootAfterBoot({ device, disk }: BoardConfig): string | undefined {
  const colon = device.lastIndexOf(':');
  if (disk === undefined || colon < 0) return undefined;
  const before = disk.loaderPartitions.length + (disk.fat === undefined ? 0 : 1) + 1;
  return `${device.slice(0, colon)}:${(before + 1).toString(16)}`;
}

function environmentOf({ name, environment }: BoardConfig): EnvironmentStore {
  switch (environment.kind) {
    case 'none':
    case 'fat-file':
      return environment;
    case 'u-boot':
      return environment;
    case 'raw': {
      const [location, redundant] = environment.locations;
      if (location === undefined) {
        throw new TreewrightError('config/bad-board', `the board ${name} says nothing about its environment`);
      }
      const { kind, command } = environment;
      return { kind, command, location, ...(redundant === undefined ? {} : { redundant }) };
    }
  }
}
