//! Bundles of the hosts of a fleet, over its bus.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::super::place::Place;
use super::{Fetch, FetchCourse, Harvest};
use crate::error::{Error, Result};
use crate::fleet::bus::{Person, Promised};
use crate::fleet::fetch::copy::{Begun, BundleCopy};
use crate::fleet::inquiry::{Arrived, Inquiry, Told, all_of};
use crate::incident::fetched::Fetched;
use crate::observation::fetch::PacketShare;
use crate::visible::plain;

/// Who fetches, and what.
pub(super) struct BusFetch<'a> {
    fetch: &'a Fetch,
    person: Person,
}

impl<'a> BusFetch<'a> {
    /// Connected to the fleet.
    pub(super) fn connect(fetch: &'a Fetch, place: &Place) -> Result<Self> {
        let options = place.options()?;
        Ok(Self { fetch, person: place.connect(&options)? })
    }

    /// What all hosts that are wanted have of the failure.
    pub(super) fn run(
        &self,
        place: &Place,
        course: &mut FetchCourse<'_>,
        harvest: &mut Harvest,
    ) -> Result<()> {
        let Fetch { id, hosts, .. } = self.fetch;
        let known = self.person.members()?.into_keys();
        let expected: BTreeSet<String> =
            if hosts.is_empty() { known.collect() } else { hosts.iter().cloned().collect() };
        let answered = |arrived: &[Arrived], host: &String| {
            arrived.iter().any(|arrived| arrived.reply.host == *host)
        };
        let asking = Inquiry::Incidents { id: Some(id.clone()) };
        let mut arrived = self.person.ask(asking, place.patience(), all_of(&expected))?;
        arrived.sort_by(|one, other| one.reply.host.cmp(&other.reply.host));
        for host in expected.iter().filter(|host| !answered(&arrived, host)) {
            harvest.failures.push((host.clone(), "SILENT".to_owned()));
        }
        for Arrived { reply, .. } in arrived {
            let host = reply.host;
            if !hosts.is_empty() && !hosts.contains(&host) {
                continue;
            }
            let bundles = match reply.told {
                Told::Incidents { bundles, .. } => bundles,
                Told::Refused { why } => {
                    harvest.failures.push((host, why));
                    continue;
                }
                _ => continue,
            };
            for bundle in bundles {
                match self.one(&host, &bundle.name, course) {
                    Ok(path) => harvest.bundles.push((host.clone(), path)),
                    Err(error) => harvest.failures.push((host.clone(), error.to_string())),
                }
            }
        }
        if harvest.bundles.is_empty() && harvest.failures.is_empty() {
            return Err(Error::operation("fetch", id, "nobody has a bundle of it"));
        }
        Ok(())
    }

    /// One bundle of one host.
    fn one(&self, host: &str, name: &str, course: &mut FetchCourse<'_>) -> Result<PathBuf> {
        let mut pull = self.person.pull(host)?;
        let wanted = if self.fetch.headers { PacketShare::Headers } else { PacketShare::Full };
        let waits = |read, size| {
            course.line.bring((read, size), &plain(&format!("{host}: frames are being cut")));
        };
        let Promised { packets, files, piece: longest } = pull.begin(name, wanted, waits)?;
        let fetched = Fetched::new(host, course.now().wall, packets, files)
            .map_err(|why| Error::operation("fetch from", host, why))?;
        let mut copy = match BundleCopy::begin(&self.fetch.output, name, fetched)? {
            Begun::Copying(copy) => copy,
            Begun::There(path) => return Ok(path),
        };
        let mut silent = 0;
        while !copy.is_whole() {
            while let Some(piece) = copy.next(course.piece(longest)) {
                let wait = course.wait_for(piece.bytes);
                pull.pause(wait);
                pull.want(&piece)?;
                // What came meanwhile is written first.
                if !wait.is_zero() {
                    break;
                }
            }
            match pull.next(&mut silent)? {
                Some((file, offset, data)) => copy.take(&file, offset, data)?,
                None => copy.awaited().try_for_each(|piece| pull.want(piece))?,
            }
            course.show(&copy, host);
        }
        course.line.end();
        if let (true, Some(less)) = (packets < wanted, less(packets)) {
            eprintln!("{}: {name}: {less}", plain(host));
        }
        copy.finish()
    }
}

/// What is missing of the frames, because the operator there wants it so.
fn less(packets: PacketShare) -> Option<&'static str> {
    match packets {
        PacketShare::Full => None,
        PacketShare::Headers => Some(
            "its frames are cut to headers: more is allowed there by packets = \"full\" in accept",
        ),
        PacketShare::Never => {
            Some("its frames stay there: packets = \"headers\" or \"full\" in accept lets them go")
        }
    }
}
