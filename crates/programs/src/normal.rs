//! Output without what differs from run to run.

/// Replaces what a program named, and the widths of columns.
///
/// A line `@NAME value` in the output is not for the reader: it says that every word `value` of the output, before or
/// after, is to be read as `NAME`. Runs of blanks count as one, because names are not as long as what they stand for.
pub fn normalised(output: &str) -> String {
    let mut names = Vec::new();
    let mut lines = Vec::new();
    for line in output.lines() {
        match line.strip_prefix('@').and_then(|rest| rest.split_once(' ')) {
            Some((name, value)) => names.push((name, value)),
            None => lines.push(line),
        }
    }
    let named = |word: &str| names.iter().find(|(_, value)| *value == word).map(|(name, _)| *name);
    let mut normal = String::new();
    for line in lines {
        let mut blank = false;
        for word in words(line) {
            if word.chars().all(char::is_whitespace) {
                blank = true;
                continue;
            }
            if std::mem::take(&mut blank) {
                normal.push(' ');
            }
            normal.push_str(named(word).unwrap_or(word));
        }
        normal.push('\n');
    }
    normal
}

/// Words, runs of blanks, and single other characters.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let end = if is_word(first) {
            rest.find(|c| !is_word(c))
        } else if first.is_whitespace() {
            rest.find(|c: char| !c.is_whitespace())
        } else {
            Some(first.len_utf8())
        };
        let (word, remaining) = rest.split_at(end.unwrap_or(rest.len()));
        rest = remaining;
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_whole_words_and_columns_close_up() {
        let output = "id 7    (7,17) 77\n@ID 7\n7   end   \n";
        assert_eq!(normalised(output), "id ID (ID,17) 77\nID end\n");
    }
}
