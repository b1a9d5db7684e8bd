//! One pass over the files: each frame to the interface it is of, time between them, and what the files
//! themselves tell: where they end, and holes in them.

use std::collections::VecDeque;
use std::path::PathBuf;

use super::findings::Findings;
use super::gaps::{Feed, GapTurn, Pauses, series_of};
use super::interface::{Judged, Shared};
use super::passage::{ClockSet, Passage};
use super::questions::Questions;
use super::relations::Relations;
use super::series::Columns;
use super::states::Tracks;
use super::stations::Stations;
use super::talkers::Talkers;
use super::{Options, is_of_bundle};
use crate::capture_file::merge::{Ended, Head};
use crate::capture_file::{self, Damage};
use crate::detect::protocols::Together;
use crate::error::Result;
use crate::frame::{Direction, Frame, FrameHeader, Origin};
use crate::time::{Offset, Stamp, Wall};

/// Most interfaces that are judged: each has tables of about 1 MiB. Frames of others are counted.
const INTERFACES: usize = 64;

/// One pass over the files.
pub(super) struct Pass<'a> {
    pub(super) options: &'a Options,
    pub(super) captures: &'a [PathBuf],
    pub(super) stations: Stations,
    /// Settings of the clock that no frame was behind so far.
    clock_sets: VecDeque<ClockSet>,
    pub(super) passage: Option<Passage>,
    pub(super) interfaces: Vec<Judged>,
    together: Together,
    /// Where the frames of each interface come from.
    pub(super) feeds: Vec<Feed>,
    /// Files of bundles: they tell also when no frame came, until the end of what the bundle covers.
    pub(super) covering: Vec<bool>,
    /// The pauses of each file.
    pauses: Vec<Pauses>,
    /// Which interface each file's origins are; none for one too many.
    pub(super) places: Vec<Vec<Option<Option<usize>>>>,
    pub(super) shared: Shared,
    pub(super) damage: Vec<Damage>,
    pub(super) read: u64,
    pub(super) not_judged: u64,
    pub(super) guessed: u64,
    pub(super) first: Option<Wall>,
    pub(super) last: Wall,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        options: &'a Options,
        captures: &'a [PathBuf],
        stations: Stations,
        relations: Relations,
        clock_sets: VecDeque<ClockSet>,
    ) -> Self {
        let shared = Shared {
            columns: Columns::from(0),
            offset: Offset::default(),
            talkers: Talkers::new(),
            tracks: Tracks::default(),
            ledger: Findings::default(),
            questions: Questions::default(),
            relations,
        };
        Self {
            options,
            covering: captures.iter().map(|path| is_of_bundle(path)).collect(),
            captures,
            stations,
            clock_sets,
            passage: None,
            interfaces: Vec::new(),
            together: Together::default(),
            feeds: Vec::new(),
            pauses: vec![Pauses::default(); captures.len()],
            places: Vec::new(),
            shared,
            damage: Vec::new(),
            read: 0,
            not_judged: 0,
            guessed: 0,
            first: None,
            last: Wall(0),
        }
    }

    pub(super) fn now(&self) -> Wall {
        self.passage.map_or(Wall(0), |passage| passage.now().wall)
    }

    pub(super) fn frame(&mut self, head: &Head<'_>) -> Result<()> {
        self.read += 1;
        let first = *self.first.get_or_insert(head.wall);
        self.first = Some(first.min(head.wall));
        let mut passage = match self.passage {
            Some(passage) => passage,
            None => {
                let passage = Passage::begin(first);
                self.shared.columns = Columns::from(passage.now().mono.0);
                passage
            }
        };
        if self.clock_sets.front().is_some_and(|set| passage.is_behind(set, head.wall)) {
            self.clock_sets.pop_front();
        }
        let at = passage.arrive(head.wall, |now| self.tick(now));
        self.last = self.last.max(head.wall);
        self.passage = Some(passage);
        if let Some(hole) = self.pauses[head.file].within(head.wall) {
            let place = format!("of any interface in {}", self.named(head.file));
            let why = ": the recorder stood still, or the network did";
            self.shared.ledger.add(hole.finding(None, &place, why), |_| None);
        }
        let Some(number) = self.place(head, at)? else {
            self.not_judged += 1;
            return Ok(());
        };
        self.follow(number, head);
        let column = self.column(at);
        let at = self.feeds[number].own(at);
        self.shared.offset = Offset::of(at);
        let mut direction = head.frame.direction;
        if direction == Direction::Unknown {
            direction = self.stations.direction(head.origin.link_type, head.frame.bytes);
            self.guessed += u64::from(direction != Direction::Unknown);
        }
        let header = FrameHeader {
            wall: head.wall,
            original_len: head.frame.original_len,
            direction,
            reception: head.frame.reception,
        };
        let copies =
            head.frame.copies.map(|copies| (copies.count, self.shared.offset.mono(copies.last)));
        let frame = Frame::whole(header, head.frame.bytes);
        self.interfaces[number].frame(&frame, at, copies, column, &mut self.shared);
        Ok(())
    }

    fn tick(&mut self, now: Stamp) {
        let column = self.column(now);
        for (interface, feed) in self.interfaces.iter_mut().zip(&mut self.feeds) {
            let turn = feed.turn(now);
            if let GapTurn::Tick(own) | GapTurn::Settle(own) = turn {
                self.shared.offset = Offset::of(own);
            }
            match turn {
                GapTurn::Tick(own) => interface.tick(own, column, &mut self.shared),
                GapTurn::Settle(own) => interface.finish(own, column, &mut self.shared),
                GapTurn::Wait => {}
            }
        }
    }

    /// A file has no more frames.
    pub(super) fn ended(&mut self, ended: Ended) {
        let now = self.passage.map_or_else(Stamp::default, |passage| passage.now());
        if !self.covering[ended.number] {
            self.feeds.iter_mut().for_each(|feed| feed.ends(ended.number, now));
        }
        self.damage.extend(ended.damage);
    }

    /// Time passes until `end`, also without frames: what a bundle covers.
    pub(super) fn pass_until(&mut self, end: Wall) {
        if let Some(mut passage) = self.passage {
            passage.arrive(end.max(self.last), |now| self.tick(now));
            self.passage = Some(passage);
        }
    }

    /// Notices a hole between the file that this frame of an interface comes from and the one before.
    fn follow(&mut self, number: usize, head: &Head<'_>) {
        if let Some((before, hole)) = self.feeds[number].frame(head.file, head.wall) {
            let (before, behind) = (self.named(before), self.named(head.file));
            let place = format!("between {before} and {behind}");
            let finding = hole.finding(Some(&self.interfaces[number].name), &place, "");
            self.shared.ledger.add(finding, |_| None);
        }
    }

    /// A file's name without its folder.
    pub(super) fn named(&self, file: usize) -> String {
        let path = &self.captures[file];
        path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
    }

    pub(super) fn column(&mut self, at: Stamp) -> usize {
        let Self { shared: Shared { columns, talkers, .. }, interfaces, .. } = self;
        columns.column(at.mono.0, || {
            talkers.halve();
            interfaces.iter_mut().for_each(Judged::halve);
        })
    }

    /// The interface of a frame, be it in another file. One name with two link types is two interfaces.
    fn place(&mut self, head: &Head<'_>, at: Stamp) -> Result<Option<usize>> {
        if let Some(place) =
            self.places.get(head.file).and_then(|file| *file.get(head.frame.origin)?)
        {
            return Ok(place);
        }
        let mut origin = Origin::clone(head.origin);
        let unnamed = origin.interface == self.stem(head.file);
        if unnamed {
            origin.interface = self.called(head.file);
        }
        let named = |judged: &Judged, name: &str| *judged.name == *name;
        if self
            .interfaces
            .iter()
            .any(|judged| named(judged, &origin.interface) && judged.link_type != origin.link_type)
        {
            origin.interface = format!("{}@{}", origin.interface, origin.link_type.0);
        }
        let known = match unnamed {
            true => self.goes_on(head),
            false => self.interfaces.iter().position(|judged| named(judged, &origin.interface)),
        };
        let place = match known {
            Some(known) => Some(known),
            None if self.interfaces.len() < INTERFACES => {
                self.interfaces.push(Judged::new(&origin, &self.options.traffic, &self.together)?);
                self.feeds.push(Feed::default());
                Some(self.interfaces.len() - 1)
            }
            None => None,
        };
        let wanted = self.places.len().max(head.file + 1);
        self.places.resize(wanted, Vec::new());
        let file = &mut self.places[head.file];
        file.resize(file.len().max(head.frame.origin + 1), None);
        file[head.frame.origin] = Some(place);
        if let Some(number) = place {
            self.feeds[number].begins(head.file, at);
        }
        Ok(place)
    }

    /// The interface of a file that ended before this one began, where neither names it and both are named as
    /// files of one series: recorders that begin a new file now and then write those.
    fn goes_on(&self, head: &Head<'_>) -> Option<usize> {
        let series = series_of(&self.stem(head.file));
        let goes_on = |(judged, feed): (&Judged, &Feed)| {
            let stem = self.stem(feed.first);
            feed.has_ended()
                && judged.link_type == head.origin.link_type
                && series_of(&stem) == series
                && (*judged.name == *stem || *judged.name == *series)
        };
        self.interfaces.iter().zip(&self.feeds).position(goes_on)
    }

    /// What the interface of a file is called that does not name it: as the file, without what counts the files where
    /// there are several.
    fn called(&self, file: usize) -> String {
        let stem = self.stem(file);
        let series = series_of(&stem);
        let files = 0..self.captures.len();
        let several = files.filter(|file| series_of(&self.stem(*file)) == series).count() > 1;
        let taken = self.interfaces.iter().any(|judged| *judged.name == *series);
        if several && !taken && !series.is_empty() { series } else { stem }
    }

    fn stem(&self, file: usize) -> String {
        capture_file::stem(&self.captures[file].display().to_string())
    }
}
