//! The screen, from top to bottom: who is shown and how it stands, interfaces, the classes of the selected
//! one, events, keys. Fits 80 columns by 24 lines; what is wider gives sparklines and sentences room, what
//! is higher gives interfaces and events lines.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, RenderDirection, Sparkline};

use super::Top;
use super::rates::{InterfaceRates, short};
use crate::api::status::{Class, Interface, RecorderStatus};
use crate::words::rough;

/// Columns of an interface before its sparkline.
const BEFORE_SPARKLINE: u16 = 66;
/// Lines for interfaces at most, of a screen of 24; a higher one gives them a third of what is more.
const INTERFACES: u16 = 6;
/// Lines for classes at most.
const CLASSES: u16 = 6;
/// The screen that everything fits.
const LINES: u16 = 24;
/// Size of the help.
const HELP_SIZE: (u16, u16) = (66, 17);

const KEYS: &str = "s snapshot   ↑↓ interface   ? help   q quit";
const HELP: &str = "\
 s        freeze a snapshot; type a reason, Enter asks, Esc does not
 ↑ ↓ k j  select an interface; its classes are shown
 ? h      this help
 q Esc    quit; dashcap goes on

 in, out  frames and bits a second; the line beside: the last minutes
 drops    frames lost: by the kernel, or as incidents pinned all memory
 whole    how far back memory reaches with whole frames,
 all      and with the headers of older ones
 folded   copies that were counted instead of kept
 gone     frames forgotten, because newer ones needed the memory

 The same as text: dashcap status, dashcap events --follow
 As figures for a monitoring system: dashcap run --metrics 9181";

/// Draws it.
pub fn draw(top: &Top, frame: &mut Frame<'_>) {
    let area = frame.area();
    let standing = top.standing.clone().unwrap_or_default();
    let count = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
    let room = INTERFACES + area.height.saturating_sub(LINES) / 3;
    let interfaces = count(standing.interfaces.len()).clamp(1, room);
    let selected = standing.interfaces.get(top.selected);
    let classes = selected.map_or(0, |interface| count(interface.classes.len())).min(CLASSES);
    let [head, listed, inside, events, foot] = Layout::vertical([
        Constraint::Length(4),
        Constraint::Length(1 + interfaces),
        Constraint::Length(1 + classes),
        Constraint::Min(2),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(top.head(&standing)), head);
    top.interfaces(&standing, listed, frame);
    top.classes(selected, inside, frame);
    top.events(events, frame);
    frame.render_widget(Paragraph::new(top.foot()), foot);
    if top.helping {
        help(frame);
    }
}

impl Top {
    fn head(&self, standing: &RecorderStatus) -> Vec<Line<'static>> {
        let RecorderStatus { program, host, .. } = standing;
        let mut state = vec![Span::raw(match &self.standing {
            Some(_) => format!("{program} on {host}, for {}  ", words(standing.uptime_seconds)),
            None => "dashcap  ".to_owned(),
        })];
        state.push(match (&self.gone, &self.standing) {
            (Some(why), _) => self.bad(format!("GONE, trying again: {why}")),
            (None, None) => Span::raw("connecting …"),
            (None, Some(_)) => self.state(standing),
        });
        let dropped: u64 = standing.interfaces.iter().map(|i| i.counts.dropped()).sum();
        let mib = standing.memory_bytes as f64 / f64::from(1 << 20);
        let traffic = format!("traffic   {} frames/s; ", short(standing.frames_per_second));
        let drops = format!("{dropped} dropped");
        let memory = format!("; memory {mib:.0} MiB; {} pre wanted", words(standing.pre_seconds));
        let traffic = vec![
            Span::raw(traffic),
            if dropped > 0 { self.bad(drops) } else { Span::raw(drops) },
            Span::raw(memory),
        ];
        let bundles = &standing.bundles;
        let written =
            format!("bundles   {} written, {} pending, ", bundles.written, bundles.pending);
        let lost = format!("{} lost", bundles.lost);
        let mut incidents = vec![
            Span::raw(written),
            if bundles.lost > 0 { self.bad(lost) } else { Span::raw(lost) },
        ];
        if let Some(last) = bundles.last.as_deref().and_then(|last| last.rsplit('/').next()) {
            incidents.push(Span::raw(format!("; last {last}")));
        }
        vec![
            Line::from(state),
            Line::from(traffic),
            Line::from(incidents),
            Line::from(self.watchers(standing)),
        ]
    }

    fn state(&self, standing: &RecorderStatus) -> Span<'static> {
        match &standing.incident {
            Some(open) => {
                let left = open.left_seconds;
                self.bad(format!("COLLECTING, {left:.0} s left: {}", open.sentence))
            }
            None if standing.armed => self.good("armed".to_owned()),
            None => self.bad(format!("DISARMED, {} ignored", standing.ignored_triggers)),
        }
    }

    /// Who watches: only what is not well is told one by one; and where exports do not get through.
    fn watchers(&self, standing: &RecorderStatus) -> Vec<Span<'static>> {
        let watchers = &standing.watchers;
        let mut names: Vec<&str> = watchers.iter().map(|watcher| &*watcher.name).collect();
        names.dedup();
        let mut spans = vec![Span::raw(format!("watchers  {}", names.join(" ")))];
        for watcher in watchers {
            if !watcher.running {
                spans.push(self.bad(format!("; {} ENDED", watcher.name)));
            }
            if watcher.missed > 0 {
                spans.push(self.bad(format!("; {} missed {}", watcher.name, watcher.missed)));
            }
        }
        for export in &standing.exports {
            if export.trouble.is_some() {
                spans.push(self.bad(format!("; NOT REACHED: {}", export.to)));
            }
        }
        spans
    }

    fn interfaces(&self, standing: &RecorderStatus, area: Rect, frame: &mut Frame<'_>) {
        let head = format!(
            "{:<17} {:<4} {:>6} {:>6} {:>6} {:>6} {:>9} {:>4}",
            "interface", "is", "in/s", "bit/s", "out/s", "bit/s", "drops", "gaps"
        );
        let [title, rows] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
        frame.render_widget(Paragraph::new(head).style(title_style()), title);
        let shown = usize::from(rows.height);
        // The selected one is always in sight.
        let first = (self.selected + 1).saturating_sub(shown);
        for (line, (place, interface)) in
            (0..rows.height).zip(standing.interfaces.iter().enumerate().skip(first))
        {
            let row = Rect { y: rows.y + line, height: 1, ..rows };
            self.interface(interface, place == self.selected, row, frame);
        }
    }

    fn interface(&self, interface: &Interface, selected: bool, row: Rect, frame: &mut Frame<'_>) {
        let none = InterfaceRates::default();
        let rates = self.rates.get(&interface.name).unwrap_or(&none);
        let name: String = interface.name.chars().take(15).collect();
        let is = interface.up.map_or("?", |up| if up { "up" } else { "DOWN" });
        let [inbound, outbound] = [rates.inbound, rates.outbound]
            .map(|rate| format!("{:>6} {:>6}", short(rate.frames), short(rate.bits)));
        let dropped = interface.counts.dropped();
        let marker = if selected { '>' } else { ' ' };
        let text = format!("{marker} {name:<15} {is:<4} {inbound} {outbound}");
        let drops = format!(" {dropped:>9} {:>4}", interface.counts.gaps);
        let losing = rates.dropped > 0;
        let drops = if losing { self.bad(drops) } else { Span::raw(drops) };
        let style = if selected { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
        frame.render_widget(Paragraph::new(Line::from(vec![text.into(), drops])).style(style), row);
        let line = Rect {
            x: row.x + BEFORE_SPARKLINE.min(row.width),
            width: row.width.saturating_sub(BEFORE_SPARKLINE),
            ..row
        };
        if let Some(history) = self.history.get(&interface.name) {
            // The newest at the right edge.
            let newest_first: Vec<u64> =
                history.iter().rev().take(usize::from(line.width)).copied().collect();
            let sparkline =
                Sparkline::default().data(newest_first).direction(RenderDirection::RightToLeft);
            frame.render_widget(sparkline, line);
        }
    }

    fn classes(&self, selected: Option<&Interface>, area: Rect, frame: &mut Frame<'_>) {
        let name = selected.map_or("", |interface| &interface.name);
        let head = format!(
            "{:<15} {:>8} {:>6} {:>8} {:>8} {:>6} {:>6} {:>6} {:>6}",
            format!("of {name}"),
            "frames/s",
            "bit/s",
            "whole",
            "all",
            "stored",
            "folded",
            "drops",
            "gone"
        );
        let mut lines = vec![Line::styled(pad(&head, area), title_style())];
        let rates = self.rates.get(name);
        for class in selected.map(|interface| &*interface.classes).unwrap_or_default() {
            let rate = rates.and_then(|rates| rates.classes.get(&class.name));
            let rate = rate.copied().unwrap_or_default();
            let Class { stored, folded, dropped, evicted, .. } = class;
            let [stored, folded, dropped, evicted] =
                [stored, folded, dropped, evicted].map(|count| short(*count as f64));
            let (whole, all) = match class.traffic().frames {
                0 => ("-".to_owned(), "-".to_owned()),
                _ => (words(class.full_seconds.min(class.held_seconds)), words(class.held_seconds)),
            };
            let name: String = class.name.chars().take(13).collect();
            lines.push(Line::raw(format!(
                "  {name:<13} {:>8} {:>6} {whole:>8} {all:>8} {stored:>6} {folded:>6} \
                 {dropped:>6} {evicted:>6}",
                short(rate.frames),
                short(rate.bits),
            )));
        }
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn events(&self, area: Rect, frame: &mut Frame<'_>) {
        let mut lines = vec![Line::styled(pad("events, the latest last", area), title_style())];
        let shown = usize::from(area.height.saturating_sub(1));
        for event in self.events.iter().skip(self.events.len().saturating_sub(shown)) {
            let stands_out = ["TRIGGER", "INCIDENT", "FINDING"].iter().any(|w| event.contains(w));
            let style = Style::new();
            let style = if stands_out { style.add_modifier(Modifier::BOLD) } else { style };
            lines.push(Line::styled(event.clone(), style));
        }
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn foot(&self) -> Line<'static> {
        match (&self.asking, &self.told) {
            (Some(reason), _) => {
                Line::raw(format!("why? {reason}▏  (Enter asks for a snapshot, Esc does not)"))
            }
            (None, Some(told)) => Line::styled(told.clone(), Modifier::BOLD),
            (None, None) => Line::styled(KEYS, title_style()),
        }
    }

    fn bad(&self, text: String) -> Span<'static> {
        let style = Style::new().add_modifier(Modifier::BOLD);
        Span::styled(text, if self.plain { style } else { style.fg(Color::Red) })
    }

    fn good(&self, text: String) -> Span<'static> {
        Span::styled(text, if self.plain { Style::new() } else { Style::new().fg(Color::Green) })
    }
}

fn help(frame: &mut Frame<'_>) {
    let area = frame.area();
    let (width, height) = (HELP_SIZE.0.min(area.width), HELP_SIZE.1.min(area.height));
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, place);
    let block = Block::bordered().title(" dashcap top ");
    frame.render_widget(Paragraph::new(HELP).block(block), place);
}

fn title_style() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}

/// To the right edge, so that a title is a bar.
fn pad(text: &str, area: Rect) -> String {
    format!("{text:<width$}", width = usize::from(area.width))
}

fn words(seconds: f64) -> String {
    /// Beyond that the traffic so far says little.
    const LONG: f64 = 30.0 * 86_400.0;
    if seconds > LONG {
        return "> 30 d".to_owned();
    }
    rough(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}
