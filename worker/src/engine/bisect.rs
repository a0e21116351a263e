//! Finds out who is to blame when several are refused together: whom the refusal names, or else by halving.

/// Those of `items` that are refused, each with what was said of it alone.
///
/// `try_them` is asked about the items known to be good and those in question, together. `items` are known to be refused
/// together, with `refusal`. Each guilty one costs two questions if `named` tells it from a refusal, or two per halving; the good ones
/// together cost hardly more. Nobody is guilty for being named: it is refused by itself, beside good ones; once an innocent one was
/// named, nobody is asked first for that any more.
///
/// What is good in the end has been accepted together: of two that are refused only beside each other the later one counts as guilty, or
/// the one that was not named.
pub(crate) fn guilty<E>(
    items: &[usize],
    refusal: E,
    named: impl Fn(&E, &[usize]) -> Option<usize>,
    mut try_them: impl FnMut(&[usize], &[usize]) -> Result<(), E>,
) -> Vec<(usize, E)> {
    let mut search = Search { named: &named, trusts: true, try_them: &mut try_them, good: Vec::new(), guilty: Vec::new() };
    search.look_into(items.to_vec(), refusal);
    search.guilty
}

/// Nobody is told from a refusal.
pub(crate) const fn nobody<E>(_: &E, _: &[usize]) -> Option<usize> {
    None
}

/// Asks about items known to be good and items in question, together.
type Try<'s, E> = dyn FnMut(&[usize], &[usize]) -> Result<(), E> + 's;

struct Search<'s, E> {
    named: &'s dyn Fn(&E, &[usize]) -> Option<usize>,
    /// Nobody was named in error yet.
    trusts: bool,
    try_them: &'s mut Try<'s, E>,
    good: Vec<usize>,
    guilty: Vec<(usize, E)>,
}

impl<E> Search<'_, E> {
    /// Looks into items that are refused together.
    fn look_into(&mut self, mut items: Vec<usize>, mut refusal: E) {
        while self.trusts
            && items.len() > 1
            && let Some(named) = (self.named)(&refusal, &items)
        {
            items.retain(|item| *item != named);
            let found = self.guilty.len();
            self.judge(&[named]);
            self.trusts = self.guilty.len() > found;
            match (self.try_them)(&self.good, &items) {
                Ok(()) => return self.good.append(&mut items),
                Err(error) => refusal = error,
            }
        }
        match items[..] {
            [only] => self.guilty.push((only, refusal)),
            _ => self.halve(&items),
        }
    }

    fn halve(&mut self, items: &[usize]) {
        if items.len() == 1 {
            return self.judge(items);
        }
        let (first, second) = items.split_at(items.len() / 2);
        let found = self.guilty.len();
        self.judge(first);
        if self.guilty.len() == found && second.len() > 1 {
            // The first half is good, so the second is not: no need to ask.
            self.halve(second);
        } else {
            self.judge(second);
        }
    }

    fn judge(&mut self, items: &[usize]) {
        match (self.try_them)(&self.good, items) {
            Ok(()) => self.good.extend(items),
            Err(refusal) => self.look_into(items.to_vec(), refusal),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::btree_set;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::{guilty, nobody};

    /// Who of so many is found guilty, each beside how many guilty ones it was refused, and after how many questions.
    fn find(count: usize, bad: &BTreeSet<usize>, named: impl Fn(&[usize]) -> Option<usize>) -> (BTreeSet<usize>, Vec<usize>, usize) {
        let items: Vec<usize> = (0..count).collect();
        let mut questions = 0;
        let found = guilty(
            &items,
            bad.len(),
            |_, items| named(items),
            |good, asked| {
                questions += 1;
                match good.iter().chain(asked).filter(|item| bad.contains(item)).count() {
                    0 => Ok(()),
                    refused => Err(refused),
                }
            },
        );
        let (found, beside) = found.into_iter().unzip();
        (found, beside, questions)
    }

    proptest! {
        #[test]
        fn exactly_the_guilty_are_found(count in 1_usize..200, bad in btree_set(0_usize..200, 1..8)) {
            let bad: BTreeSet<usize> = bad.into_iter().map(|item| item % count).collect();
            let (found, beside, questions) = find(count, &bad, |_| None);
            prop_assert_eq!(found, bad.clone());
            // Each was refused by itself, beside good ones only.
            prop_assert!(beside.iter().all(|refused| *refused == 1));
            let halvings = count.next_power_of_two().ilog2() as usize;
            prop_assert!(questions <= bad.len() * 2 * halvings.max(1), "{questions} questions for {} of {count}", bad.len());
        }

        #[test]
        fn a_guilty_one_that_is_named_costs_two_questions(count in 1_usize..200, bad in btree_set(0_usize..200, 1..8)) {
            let bad: BTreeSet<usize> = bad.into_iter().map(|item| item % count).collect();
            let (found, beside, questions) = find(count, &bad, |items| items.iter().copied().find(|item| bad.contains(item)));
            prop_assert_eq!(found, bad.clone());
            prop_assert!(beside.iter().all(|refused| *refused == 1));
            prop_assert!(questions <= bad.len() * 2, "{questions} questions for {} of {count}", bad.len());
        }

        #[test]
        fn whoever_is_named_in_error_is_not_guilty(count in 1_usize..200, bad in btree_set(0_usize..200, 1..8), wrong in 0_usize..200) {
            let bad: BTreeSet<usize> = bad.into_iter().map(|item| item % count).collect();
            let (found, _, questions) = find(count, &bad, |items| items.iter().copied().find(|item| *item >= wrong));
            prop_assert_eq!(found, bad.clone());
            // Two more than without a name.
            let halvings = count.next_power_of_two().ilog2() as usize;
            prop_assert!(questions <= bad.len() * 2 * halvings.max(1) + 2, "{questions} questions for {} of {count}", bad.len());
        }
    }

    #[test]
    fn of_two_that_are_refused_only_together_the_one_that_is_not_named_is_guilty() {
        let both = |good: &[usize], asked: &[usize]| [1, 3].iter().all(|item| good.contains(item) || asked.contains(item));
        let named = |_: &(), items: &[usize]| items.contains(&3).then_some(3);
        let found = guilty(&[0, 1, 2, 3, 4], (), named, |good, asked| if both(good, asked) { Err(()) } else { Ok(()) });
        assert_eq!(found, [(1, ())]);
    }

    #[test]
    fn two_that_are_refused_only_together_cost_the_later_one() {
        let found = guilty(&[0, 1, 2, 3, 4], (), nobody, |good, asked| {
            let both = [1, 3].iter().all(|item| good.contains(item) || asked.contains(item));
            if both { Err(()) } else { Ok(()) }
        });
        assert_eq!(found, [(3, ())]);
    }
}
