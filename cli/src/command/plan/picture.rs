//! A picture of the slots: a line each, busy times as blocks.

use crate::forecast::Outlook;
use crate::render::{Paint, words};
use regatta_domain::Micros;

/// So many slots are drawn; the others are counted.
const LINES: usize = 24;

/// From idle to busy.
const BLOCKS: [char; 5] = [' ', '░', '▒', '▓', '█'];
const PLAIN: [char; 5] = [' ', '.', '-', '=', '#'];

/// Draws the slots on so many columns. The tests of a slot run one after the other: what is left blank is start-up, or idle.
pub(super) fn picture(outlook: &Outlook, columns: usize, paint: Paint) -> String {
    let slots = outlook.slots as usize;
    let shown = if slots > LINES { LINES - 1 } else { slots };
    let label = slots.to_string().len() + 1;
    let end = words::span(outlook.makespan);
    // The label, a space, the bar between two strokes.
    let width = columns.saturating_sub(label + 3).clamp(10, 200);
    let mut busy = vec![vec![0_u64; width]; shown];
    let whole = outlook.makespan.0.max(1);
    for shift in outlook.shifts.iter().filter(|shift| shift.slot < shown) {
        spread(&mut busy[shift.slot], shift.began, shift.ended, whole);
    }
    let cell = (whole / width as u64).max(1);
    let blocks = if paint.unicode { BLOCKS } else { PLAIN };
    let mut picture = String::new();
    for (at, cells) in busy.iter().enumerate() {
        let bar: String = cells.iter().map(|&busy| blocks[share(busy, cell)]).collect();
        picture.push_str(&format!("{:>label$} |{bar}|\n", at + 1));
    }
    if slots > shown {
        picture.push_str(&format!("{:>label$} and {} more\n", "", words::count_of(slots - shown, "slot")));
    }
    picture.push_str(&format!("{:>label$}  0{end:>rest$}\n", "", rest = width - 1));
    picture
}

/// Adds a busy time to the cells that it covers.
fn spread(cells: &mut [u64], began: Micros, ended: Micros, whole: u64) {
    let width = cells.len() as u64;
    let edge = |cell: u64| u64::try_from(u128::from(whole) * u128::from(cell) / u128::from(width)).unwrap_or(whole);
    let at = |moment: u64| u64::try_from(u128::from(moment) * u128::from(width) / u128::from(whole)).unwrap_or(width);
    for cell in at(began.0)..=at(ended.0).min(width - 1) {
        let (from, to) = (edge(cell).max(began.0), edge(cell + 1).min(ended.0));
        cells[usize::try_from(cell).unwrap_or_default().min(cells.len() - 1)] += to.saturating_sub(from);
    }
}

/// How busy a cell is, from 0 to 4; what is busy at all is seen.
fn share(busy: u64, cell: u64) -> usize {
    match busy * 100 / cell {
        0..3 => 0,
        3..35 => 1,
        35..65 => 2,
        65..92 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::{Bound, Shift};
    use regatta_domain::TestIx;

    fn outlook(slots: u32, shifts: &[(usize, u64, u64)]) -> Outlook {
        let shift = |&(slot, began, ended): &(usize, u64, u64)| Shift {
            test: TestIx(0),
            slot,
            began: Micros::from_secs(began),
            ended: Micros::from_secs(ended),
        };
        let shifts: Vec<Shift> = shifts.iter().map(shift).collect();
        let makespan = shifts.iter().map(|shift| shift.ended).max().unwrap_or_default();
        let bound = Bound { start: Micros::ZERO, work: makespan, longest: None, resource: None };
        Outlook { slots, makespan, bound, shifts, stranded: 0 }
    }

    #[test]
    fn busy_times_are_blocks_and_idle_ones_are_blank() {
        let paint = Paint { colour: false, unicode: true };
        let drawn = picture(&outlook(2, &[(0, 0, 10), (1, 2, 4), (1, 4, 5)]), 15, paint);
        let wanted = " 1 |██████████|
 2 |  ███     |
    0    10.0s
";
        assert_eq!(drawn, wanted);
    }

    #[test]
    fn many_slots_are_counted_and_no_line_is_wider_than_the_terminal() {
        let shifts: Vec<(usize, u64, u64)> = (0..100).map(|slot| (slot, 0, 1 + slot as u64)).collect();
        let drawn = picture(&outlook(100, &shifts), 60, Paint { colour: false, unicode: false });
        assert_eq!(drawn.lines().count(), 25);
        assert!(drawn.contains("and 77 slots more"), "{drawn}");
        assert!(drawn.lines().all(|line| line.chars().count() <= 60), "{drawn}");
    }
}
