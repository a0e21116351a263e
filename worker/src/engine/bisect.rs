//! Finds out by halving who is to blame when several are refused together.

/// Those of `items` that are refused, each with what was said of it alone.
///
/// `try_them` is asked about the items known to be good and those in question, together. `items` are known to be refused
/// together. Each guilty one costs two questions per halving; the good ones together cost hardly more.
///
/// What is good in the end has been accepted together: an item that is only refused beside another counts as guilty if it is
/// the later one.
pub(crate) fn guilty<E>(items: &[usize], mut try_them: impl FnMut(&[usize], &[usize]) -> Result<(), E>) -> Vec<(usize, E)> {
    let mut search = Search { good: Vec::new(), guilty: Vec::new() };
    search.halve(items, &mut try_them);
    search.guilty
}

/// Asks about items known to be good and items in question, together.
type Try<'a, E> = dyn FnMut(&[usize], &[usize]) -> Result<(), E> + 'a;

struct Search<E> {
    good: Vec<usize>,
    guilty: Vec<(usize, E)>,
}

impl<E> Search<E> {
    /// Looks into items that are refused together.
    fn halve(&mut self, items: &[usize], try_them: &mut Try<'_, E>) {
        if items.len() == 1 {
            return self.judge(items, try_them);
        }
        let (first, second) = items.split_at(items.len() / 2);
        let found = self.guilty.len();
        self.judge(first, try_them);
        if self.guilty.len() == found && second.len() > 1 {
            // The first half is good, so the second is not: no need to ask.
            self.halve(second, try_them);
        } else {
            self.judge(second, try_them);
        }
    }

    fn judge(&mut self, items: &[usize], try_them: &mut Try<'_, E>) {
        match (try_them(&self.good, items), items) {
            (Ok(()), _) => self.good.extend(items),
            (Err(error), [only]) => self.guilty.push((*only, error)),
            (Err(_), _) => self.halve(items, try_them),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::btree_set;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::guilty;

    proptest! {
        #[test]
        fn exactly_the_guilty_are_found(count in 1_usize..200, bad in btree_set(0_usize..200, 1..8)) {
            let items: Vec<usize> = (0..count).collect();
            let bad: BTreeSet<usize> = bad.into_iter().map(|item| item % count).collect();
            let mut questions = 0;
            let found = guilty(&items, |good, asked| {
                questions += 1;
                match good.iter().chain(asked).filter(|item| bad.contains(item)).count() {
                    0 => Ok(()),
                    refused => Err(refused),
                }
            });
            prop_assert_eq!(found.iter().map(|(item, _)| *item).collect::<BTreeSet<_>>(), bad.clone());
            // Each was refused by itself, beside good ones only.
            prop_assert!(found.iter().all(|(_, refused)| *refused == 1));
            let halvings = count.next_power_of_two().ilog2() as usize;
            prop_assert!(questions <= bad.len() * 2 * halvings.max(1), "{questions} questions for {} of {count}", bad.len());
        }
    }

    #[test]
    fn two_that_are_refused_only_together_cost_the_later_one() {
        let found = guilty(&[0, 1, 2, 3, 4], |good, asked| {
            let both = [1, 3].iter().all(|item| good.contains(item) || asked.contains(item));
            if both { Err(()) } else { Ok(()) }
        });
        assert_eq!(found, [(3, ())]);
    }
}
