/** A terminal in memory that understands what the live view sends. */
import type { Output } from '../../src/cli/terminal.ts';

export interface Screen extends Output {
  columns: number;
  rows: number;
  /** Every line on it, what has scrolled away included, without empty ones at the end. */
  lines(): string[];
  cursorVisible(): boolean;
  /** Everything written. */
  raw(): string;
  /** Number of writes. */
  writes(): number;
}

/** Wraps long lines at `columns`, knows up, clear below, cursor on and off, and ignores colours. */
export function createScreen(columns = 80, rows = 24): Screen {
  const cells: string[][] = [[]];
  let row = 0;
  let column = 0;
  let visible = true;
  let raw = '';
  let writes = 0;

  const put = (character: string): void => {
    if (column >= screen.columns) {
      row++;
      column = 0;
    }
    while (cells.length <= row) cells.push([]);
    const line = cells[row] ?? [];
    while (line.length < column) line.push(' ');
    line[column] = character;
    column++;
  };

  const control = (code: string, argument: string): void => {
    if (code === 'A') {
      row -= Number(argument === '' ? 1 : argument);
      if (row < 0) throw new Error(`the cursor left the screen: up ${argument}`);
    } else if (code === 'J') {
      cells.length = row + 1;
      cells[row] = (cells[row] ?? []).slice(0, column);
    } else if (code === 'l' || code === 'h') {
      if (argument !== '?25') throw new Error(`unknown mode ${argument}`);
      visible = code === 'h';
    } else if (code !== 'm') throw new Error(`unknown sequence ${argument}${code}`);
  };

  const screen: Screen = {
    isTTY: true,
    columns,
    rows,
    write: (text: string) => {
      raw += text;
      writes++;
      for (const [piece, argument = '', code] of text.matchAll(/\x1b\[([?\d;]*)([A-Za-z])|[^]/gu)) {
        if (code !== undefined) control(code, argument);
        else if (piece === '\n') {
          row++;
          column = 0;
          while (cells.length <= row) cells.push([]);
        } else if (piece === '\r') column = 0;
        else put(piece);
      }
      return true;
    },
    lines: () => {
      const text = cells.map((line) => line.join('').trimEnd());
      while (text.at(-1) === '') text.pop();
      return text;
    },
    cursorVisible: () => visible,
    raw: () => raw,
    writes: () => writes,
  };
  return screen;
}
