/** A program with a console on its standard input and output: QEMU with a serial line, or U-Boot's sandbox. */
import { spawn } from 'node:child_process';

export interface Console {
  /** Everything it has said, carriage returns left out. */
  readonly log: () => string;
  /** Waits for text that comes after what was waited for before; answers the match. */
  expect(pattern: RegExp, seconds: number): Promise<RegExpExecArray>;
  type(line: string): void;
  /** Runs commands at U-Boot's prompt; answers what they printed. */
  command(line: string, seconds?: number): Promise<string>;
  /** Pulls the plug. Harmless twice. */
  cut(): Promise<void>;
}

/** Starts a program. Whoever starts it cuts it, also after a failure. */
export function openConsole(program: string, args: readonly string[], cwd?: string): Console {
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  });
  let text = '';
  let seen = 0;
  let ended = false;
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const look of [...waiting]) look();
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1').replaceAll('\r', '');
      wake();
    });
  }
  // What is typed into a program that has just ended has no reader.
  child.stdin.on('error', () => undefined);
  const closed = new Promise<void>((resolve) => {
    child.once('close', () => {
      ended = true;
      wake();
      resolve();
    });
  });
  const expectText = (pattern: RegExp, seconds: number): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const from = seen;
      const stop = (): void => {
        clearTimeout(timer);
        waiting.delete(look);
      };
      const give = (why: string): void => {
        stop();
        reject(new Error(`${why} while waiting for ${String(pattern)}; it said:\n${text.slice(-4000)}`));
      };
      const look = (): void => {
        const match = pattern.exec(text.slice(from));
        if (match !== null) {
          seen = from + match.index + match[0].length;
          stop();
          resolve(match);
        } else if (ended) give('it ended');
      };
      const timer = setTimeout(() => give(`${seconds} s passed`), seconds * 1000);
      waiting.add(look);
      look();
    });
  let commands = 0;
  return {
    log: () => text,
    expect: expectText,
    type: (line) => void child.stdin.write(`${line}\n`),
    command: async (line, seconds = 30) => {
      const marker = `${++commands}`;
      // The console repeats what is typed: the quotes keep that from being taken for the answer.
      child.stdin.write(`${line}; echo "END"-${marker}-\n`);
      const from = seen;
      const match = await expectText(new RegExp(`END-${marker}-`), seconds);
      const said = text.slice(from, seen - match[0].length);
      return said.slice(said.indexOf('\n') + 1);
    },
    cut: async () => {
      if (!ended) child.kill('SIGKILL');
      await closed;
    },
  };
}
