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

export function boardOf(config: BoardConfig): NonNullable<BootOptions['board']> {
  const { name, device, loaderDirectory, addresses, bootCommand, deviceTree, prepare } = config;
  return {
    name,
    arch: ARCH[config.arch],
    device,
    loaderDirectory,
    addresses,
    deviceTree,
    environment: environmentOf(config),
    ...(bootCommand === undefined ? {} : { bootCommand }),
    ...(config.fitConfiguration === undefined ? {} : { fitConfiguration: config.fitConfiguration }),
    ...(prepare.length === 0 ? {} : { prepare }),
  };
}

function environmentOf({ name, environment }: BoardConfig): EnvironmentStore {
  switch (environment.kind) {
    case 'none':
    case 'fat-file':
      return environment;
    case 'u-boot':
      return environment;
    case 'raw': {
      const [location, second] = environment.locations;
      if (location === undefined || second !== undefined) {
        throw new TreewrightError(
          'config/bad-board',
          `the board ${name} has two copies of a raw environment, which the boot script cannot keep: ` +
            'let U-Boot keep its own (environment: { kind: u-boot, ... }), or leave out `redundant`',
          { data: { board: name } },
        );
      }
      return { kind: 'raw', command: environment.command, location };
    }
  }
}
