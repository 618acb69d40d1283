//! "Did you mean": the known word that is nearest to a wrong one.

/// The known word that `word` is probably a slip of: the nearest one, in whatever case, if about a
/// third of the letters or less differ. Of words equally near, the first.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let length = lower.chars().count();
    let distance = |known: &str| {
        let known = known.to_lowercase();
        let distance = strsim::osa_distance(&lower, &known);
        let limit = (length.max(known.chars().count()) / 3).max(1);
        (distance <= limit && distance < length).then_some(distance)
    };
    known
        .into_iter()
        .filter_map(|known| Some((distance(known)?, known)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_nearest_word() {
        let known = ["Match", "Match_Regex", "Name", "Alias", "m"];
        let near = |word| did_you_mean(word, known);
        assert_eq!(near("mtach"), Some("Match"));
        assert_eq!(near("MATCH_REGXE"), Some("Match_Regex"));
        assert_eq!(near("nam"), Some("Name"));
        assert_eq!(near("tag"), None);
        assert_eq!(near("x"), None);
        assert_eq!(near(""), None);
    }

    #[test]
    fn letters_left_out_count_by_the_length_of_the_word_that_is_meant() {
        assert_eq!(did_you_mean("haswl", ["haswell"]), Some("haswell"));
        assert_eq!(did_you_mean("hasw", ["haswell"]), None);
    }
}
