//! Text in columns.

/// Formats rows in columns, which are as wide as their longest cells. Columns in which there is
/// nothing are left out.
pub(super) fn format<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| {
        let lengths = rows.iter().map(|cells| cells[column].chars().count());
        lengths.max().unwrap_or(0)
    });
    let lines = rows.iter().map(|cells| {
        let columns = cells.iter().zip(widths).filter(|(_, width)| *width > 0);
        let padded: Vec<_> = columns
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::format;

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let row = |cells: [&str; 4]| cells.map(str::to_owned);
        let rows = [row(["é", "", "1", "x"]), row(["abc", "", "22", ""])];
        assert_eq!(format(&rows), "é    1   x\nabc  22");
        assert_eq!(format::<3>(&[]), "");
    }
}
