//! Bundles of the hosts of a fleet, over its bus.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::super::place::{Place, absence};
use super::{ACCEPTED, Errand, FetchCourse, Harvest};
use crate::error::{Error, Result};
use crate::fleet::bus::{Person, Promised, Pull};
use crate::fleet::fetch::Come;
use crate::fleet::fetch::copy::{Begun, BundleCopy};
use crate::fleet::inquiry::{Arrived, Inquiry, Told, all_of};
use crate::incident::fetched::Fetched;
use crate::observation::fetch::PacketShare;
use crate::visible::plain;

/// Who fetches, and what.
pub(super) struct BusFetch<'a> {
    errand: &'a Errand,
    id: &'a str,
    person: Person,
}

impl<'a> BusFetch<'a> {
    /// Connected to the fleet.
    pub(super) fn connect(errand: &'a Errand, id: &'a str, place: &Place) -> Result<Self> {
        let options = place.options()?;
        Ok(Self { errand, id, person: place.connect(&options)? })
    }

    /// What all hosts that are wanted have of the failure.
    pub(super) fn run(
        &self,
        place: &Place,
        course: &mut FetchCourse<'_>,
        harvest: &mut Harvest,
    ) -> Result<()> {
        let (id, hosts) = (self.id, &self.errand.hosts);
        let known = self.person.members()?;
        let expected: BTreeSet<String> = match hosts.is_empty() {
            true => known.keys().cloned().collect(),
            false => hosts.iter().cloned().collect(),
        };
        let answered = |arrived: &[Arrived], host: &String| {
            arrived.iter().any(|arrived| arrived.reply.host == *host)
        };
        let asking = Inquiry::Incidents { id: Some(id.to_owned()) };
        let mut arrived = self.person.ask(asking, place.patience(), all_of(&expected))?;
        arrived.sort_by(|one, other| one.reply.host.cmp(&other.reply.host));
        for host in expected.iter().filter(|host| !answered(&arrived, host)) {
            harvest.failures.push((host.clone(), absence(host, &known).to_owned()));
        }
        for Arrived { reply, .. } in arrived {
            let host = reply.host;
            if !hosts.is_empty() && !hosts.contains(&host) {
                continue;
            }
            let bundles = match reply.told {
                Told::Incidents { bundles, without } => {
                    if bundles.is_empty() {
                        harvest
                            .without
                            .extend(without.first().map(|one| (host.clone(), one.to_string())));
                    }
                    bundles
                }
                Told::Refused { why } => {
                    harvest.failures.push((host, why));
                    continue;
                }
                _ => continue,
            };
            for bundle in bundles {
                match self.one(&host, &bundle.name, course) {
                    Ok(path) => harvest.bundles.push((host.clone(), path)),
                    Err(error) => harvest.fails(&host, &error, course),
                }
            }
        }
        if harvest.bundles.is_empty() && harvest.failures.is_empty() && harvest.without.is_empty() {
            return Err(Error::usage("ID", id, "nobody has a bundle of it", ACCEPTED));
        }
        Ok(())
    }

    /// One bundle of one host.
    fn one(&self, host: &str, name: &str, course: &mut FetchCourse<'_>) -> Result<PathBuf> {
        course.is_under_way = false;
        let mut pull = self.person.pull(host)?;
        let (fetched, longest) = self.promised(&mut pull, host, name, course)?;
        let (path, packets) = match self.errand.begin(name, fetched)? {
            Begun::There(path, packets) => (path, packets),
            Begun::Copying(copy) => {
                let packets = copy.fetched().packets;
                (self.copy(pull, (host, name), *copy, longest, course)?, packets)
            }
        };
        if let (true, Some(less)) = (packets < self.wanted(), less(packets)) {
            eprintln!("{}: {name}: {less}", plain(host));
        }
        Ok(path)
    }

    fn wanted(&self) -> PacketShare {
        if self.errand.headers { PacketShare::Headers } else { PacketShare::Full }
    }

    /// What goes of a bundle, and the bytes of a piece at most.
    fn promised(
        &self,
        pull: &mut Pull<'_>,
        host: &str,
        name: &str,
        course: &FetchCourse<'_>,
    ) -> Result<(Fetched, u32)> {
        let waits = |read, size| {
            course.line.bring((read, size), &plain(&format!("{host}: frames are being cut")));
        };
        let Promised { packets, files, piece } = pull.begin(name, self.wanted(), waits)?;
        let fetched = Fetched::new(host, course.now().wall, packets, files)
            .map_err(|why| Error::operation("fetch from", host, why))?;
        Ok((fetched, piece))
    }

    /// Brings what is lacking, also from a recorder that is started again meanwhile.
    fn copy<'b>(
        &'b self,
        mut pull: Pull<'b>,
        (host, name): (&str, &str),
        mut copy: BundleCopy,
        longest: u32,
        course: &mut FetchCourse<'_>,
    ) -> Result<PathBuf> {
        course.is_under_way = true;
        let mut closed_at = None;
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
            match pull.receive()? {
                Come::Piece { file, offset, data } => copy.take(&file, offset, data)?,
                Come::Nothing => copy.awaited().try_for_each(|piece| pull.want(piece))?,
                // It knows nothing any more of who asked; twice at one place it is something else.
                Come::Refused(why) => {
                    let failed = |why: &str| Error::operation("fetch from", host, why);
                    if closed_at.replace(copy.progress()) == Some(copy.progress()) {
                        return Err(failed(&why));
                    }
                    pull = self.person.pull(host)?;
                    let (fetched, _) = self.promised(&mut pull, host, name, course)?;
                    if fetched.files != copy.fetched().files {
                        return Err(failed("its bundle is not what it was"));
                    }
                    copy.awaited().try_for_each(|piece| pull.want(piece))?;
                }
            }
            course.show(&copy, host);
        }
        course.line.end();
        copy.finish()
    }
}

/// What is missing of the frames, because the operator there wants it so.
fn less(packets: PacketShare) -> Option<&'static str> {
    match packets {
        PacketShare::Full => None,
        PacketShare::Headers => Some(
            "its frames are cut to headers: packets = \"full\" in accept there would let all of them go",
        ),
        PacketShare::Never => {
            Some("its frames stay there: packets = \"headers\" or \"full\" in accept lets them go")
        }
    }
}
