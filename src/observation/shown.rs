//! Names that routers show each other on the wire: chassis ids of LLDP (IEEE 802.1AB 8.5.2) and router ids of OSPF
//! (RFC 2328 §1.2). Who shows one is known by it to whoever hears it, without a list that somebody keeps.
//!
//! They come with frames, a few a minute, and are no facts of a failure: whoever wants them looks here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Names of one side; of more, those shown last. As many as neighbours are told of an incident.
const MOST: usize = 16;
/// Bytes of a name; a longer one is passed over. Written for a subject of the fleet's server it may be three times as
/// long, and has room there.
const LONGEST: usize = 64;

/// A hand on what is shown; clones share it.
#[derive(Debug, Clone, Default)]
pub struct ShownNames(Arc<Mutex<Sides>>);

/// By who shows them, the newest last.
#[derive(Debug, Default)]
struct Sides {
    own: VecDeque<String>,
    neighbours: VecDeque<String>,
}

impl ShownNames {
    /// A frame shows a name: one that this host sent, or that it received.
    pub fn show(&self, sent_here: bool, name: String) {
        if name.is_empty() || name.len() > LONGEST {
            return;
        }
        let mut sides = self.sides();
        let side = if sent_here { &mut sides.own } else { &mut sides.neighbours };
        side.retain(|known| *known != name);
        if side.len() >= MOST {
            side.pop_front();
        }
        side.push_back(name);
    }

    /// What this host shows, in order of the alphabet.
    pub fn own(&self) -> Vec<String> {
        let mut own: Vec<String> = self.sides().own.iter().cloned().collect();
        own.sort();
        own
    }

    /// What its neighbours show; what it shows itself, too, is not theirs.
    pub fn neighbours(&self) -> Vec<String> {
        let sides = self.sides();
        let theirs = sides.neighbours.iter().filter(|name| !sides.own.contains(name));
        theirs.cloned().collect()
    }

    fn sides(&self) -> MutexGuard<'_, Sides> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_whoever_shows_them_and_bounded() {
        let shown = ShownNames::default();
        for (sent_here, name) in [
            (true, "192.0.2.9"),
            (true, "192.0.2.1"),
            (false, "192.0.2.7"),
            (false, "LA/switch"),
            (false, "192.0.2.7"),
            (false, "192.0.2.1"),
            (false, ""),
            (false, &"x".repeat(LONGEST + 1)),
        ] {
            shown.clone().show(sent_here, name.to_owned());
        }
        assert_eq!(shown.own(), ["192.0.2.1", "192.0.2.9"]);
        assert_eq!(shown.neighbours(), ["LA/switch", "192.0.2.7"]);
        (0..100).for_each(|number| shown.show(false, number.to_string()));
        assert_eq!(shown.neighbours().len(), MOST);
    }
}
