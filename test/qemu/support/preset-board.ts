/** The board presets as the boot script sees them, with a kernel of their usual format. */
import type { Board } from '../../../src/boot/board.ts';
import { bootCommandFor } from '../../../src/boot/board.ts';
import type { BoardConfig } from '../../../src/config/board.ts';
import { loadBoard } from '../../../src/config/board.ts';
import { boardOf } from '../../../src/release/board.ts';

export async function presetBoard(name: string): Promise<{ board: Board; config: BoardConfig }> {
  const config = await loadBoard(name, '.');
  const { bootCommand, ...board } = boardOf(config);
  return { config, board: { ...board, bootCommand: bootCommand ?? bootCommandFor('unknown', board.arch) } };
}
