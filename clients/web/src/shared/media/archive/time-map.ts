import type { InstantMs } from "@/shared/time/instant";

interface Piece {
  /** Position in the media element, seconds. */
  fromS: number;
  wall: InstantMs;
}

/** Which instant a position in the media element shows: one piece per segment, since cameras' clocks drift. */
export class TimeMap {
  private pieces: Piece[] = [];

  clear(): void {
    this.pieces = [];
  }

  /** From `fromS` on, the element shows what was recorded from `wall` on. */
  add(fromS: number, wall: InstantMs): void {
    this.pieces = this.pieces.filter((piece) => piece.fromS < fromS - 0.001 || piece.fromS > fromS + 0.001);
    this.pieces.push({ fromS, wall });
    this.pieces.sort((a, b) => a.fromS - b.fromS);
    if (this.pieces.length > 2_000) this.pieces.splice(0, 1_000);
  }

  wallAt(positionS: number): InstantMs | null {
    let found: Piece | undefined;
    for (const piece of this.pieces) {
      if (piece.fromS > positionS + 0.001) break;
      found = piece;
    }
    found ??= this.pieces[0];
    return found ? found.wall + (positionS - found.fromS) * 1_000 : null;
  }

  positionOf(wall: InstantMs): number | null {
    let found: Piece | undefined;
    for (const piece of this.pieces) {
      if (piece.wall > wall) break;
      found = piece;
    }
    return found ? found.fromS + (wall - found.wall) / 1_000 : null;
  }
}
