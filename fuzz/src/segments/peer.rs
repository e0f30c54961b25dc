//! The peer: what it sends near every edge, and what it holds against the stack's segments.

use arbitrary::{Result, Unstructured};

use crate::link::{ACK, FIN, PORT, RST, SYN, Segment};

/// The peer's view of a connection. Numbers are those on the wire.
pub(super) struct Peer {
    /// It did not begin.
    pub(super) is_passive: bool,
    /// Where in the upper layer's bytes those of this connection begin.
    pub(super) our_first_offset: usize,
    iss: u32,
    /// Behind the last number that it sent in order, and behind the last it sent at all.
    next: u32,
    furthest: u32,
    mss: Option<u16>,
    scale: Option<u8>,
    timestamps: bool,
    /// Its timestamp clock, and the last timestamp of ours.
    clock: u32,
    echo: u32,
    ours: Option<Ours>,
}

/// What it knows of our side.
#[derive(Clone, Copy, Debug)]
struct Ours {
    port: u16,
    iss: u32,
    /// Behind the last number that we sent.
    next: u32,
    /// Up to where it was acknowledged, and the right edge of our window.
    ack: u32,
    edge: u32,
    /// The number up to which we may send, by the most generous window it ever gave.
    allowed: u32,
    /// Shift of our window, when both offered one.
    scale: u8,
    has_timestamps: bool,
}

/// The byte at a number of a stream.
pub(super) fn byte(number: u32) -> u8 {
    let [byte, ..] = number.wrapping_mul(0x9e37_79b9).to_be_bytes();
    byte
}

/// Whether `a` is behind `b` on the circle.
fn is_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

impl Peer {
    pub(super) fn new(iss: u32) -> Self {
        Self {
            is_passive: false,
            our_first_offset: 0,
            iss,
            next: iss.wrapping_add(1),
            furthest: iss,
            mss: None,
            scale: None,
            timestamps: false,
            clock: iss.rotate_left(7),
            echo: 0,
            ours: None,
        }
    }

    /// What its SYNs will offer.
    pub(super) fn offer(&mut self, program: &mut Unstructured<'_>) -> Result<()> {
        let kind: u8 = program.arbitrary()?;
        self.mss = if kind & 1 == 0 { Some(program.arbitrary()?) } else { None };
        self.scale = if kind & 2 == 0 { None } else { Some(program.arbitrary()?) };
        self.timestamps = kind & 4 != 0;
        Ok(())
    }

    /// Its first number of a byte, as we have acknowledged it.
    pub(super) const fn first(&self) -> u32 {
        self.iss.wrapping_add(1)
    }

    pub(super) fn syn(&self, port: u16) -> Segment {
        let options = self.options(SYN, self.clock, 0);
        Segment { port, seq: self.iss, flags: SYN, window: 65_535, options, ..Segment::default() }
    }

    /// What makes a connection of the SYN or SYN-ACK it has seen.
    pub(super) fn answer(&self) -> Segment {
        let Some(ours) = self.ours else { return self.syn(PORT) };
        let (flags, seq) =
            if self.is_passive { (SYN | ACK, self.iss) } else { (ACK, self.iss.wrapping_add(1)) };
        let options = self.options(flags, self.clock, self.echo);
        let ack = ours.iss.wrapping_add(1);
        Segment { port: ours.port, seq, ack, flags, window: 65_535, options, ..Segment::default() }
    }

    /// The next bytes in order, with everything acknowledged.
    pub(super) fn next_segment(&mut self, bytes: usize) -> Segment {
        let mut segment = self.acknowledge(u16::MAX);
        (segment.seq, segment.payload) = (self.next, payload(self.next, bytes));
        self.next = self.next.wrapping_add(segment.length());
        segment
    }

    /// An acknowledgement of everything, with a window.
    pub(super) fn acknowledge(&mut self, window: u16) -> Segment {
        self.clock = self.clock.wrapping_add(1);
        let options = self.options(ACK, self.clock, self.echo);
        let (port, ack) = self.ours.map_or((PORT, 0), |ours| (ours.port, ours.next));
        Segment { port, seq: self.next, ack, flags: ACK, window, options, ..Segment::default() }
    }

    /// Numbers near an edge, any flags, and options that fit or do not.
    pub(super) fn any_segment(&mut self, program: &mut Unstructured<'_>) -> Result<Segment> {
        let kind: u8 = program.arbitrary()?;
        let mut flags: u8 = program.arbitrary()?;
        if kind & 1 == 0 {
            // Mostly what belongs to a connection.
            flags = (flags & (FIN | 8)) | ACK;
        }
        let base = match (kind >> 1) & 3 {
            0 => self.next,
            1 => self.ours.map_or(self.iss, |ours| ours.ack),
            2 => self.ours.map_or(self.iss, |ours| ours.edge),
            _ => self.iss,
        };
        let mut seq = base.wrapping_add_signed(i32::from(program.arbitrary::<i8>()?));
        if kind & 8 != 0 {
            seq = base.wrapping_add_signed(i32::from(program.arbitrary::<i16>()?));
        }
        if self.is_passive && flags & SYN != 0 {
            // Which of several SYNs was meant by an answer could not be told.
            seq = self.iss;
        }
        let near = i32::from(program.arbitrary::<i8>()?);
        let ack = match ((kind >> 4) & 3, self.ours) {
            (0, Some(ours)) => ours.next,
            (1, Some(ours)) => ours.next.wrapping_add_signed(near),
            (2, Some(ours)) => ours.iss.wrapping_add_signed(near),
            _ => program.arbitrary()?,
        };
        let window: u16 = match program.arbitrary::<u8>()? {
            0..=63 => 0,
            64..=95 => 1,
            _ => program.arbitrary()?,
        };
        let bytes = match kind >> 6 {
            0 => 0,
            1 => usize::from(program.arbitrary::<u8>()? % 8),
            2 => usize::from(program.arbitrary::<u8>()?) * 4,
            _ => usize::from(program.arbitrary::<u16>()? % 1461),
        };
        let ticks: i8 = program.arbitrary()?;
        let clock = if ticks < -64 {
            self.clock.wrapping_sub(1 << 30)
        } else {
            self.clock.wrapping_add_signed(ticks.into())
        };
        if ticks > 0 {
            self.clock = clock;
        }
        let echo = if ticks % 5 == 0 { program.arbitrary()? } else { self.echo };
        let mut options = self.options(flags, clock, echo);
        if ticks % 16 == 3 && flags & SYN == 0 {
            let length = usize::from(program.arbitrary::<u8>()? % 5) * 4;
            options.extend(program.bytes(length)?);
            options.truncate(40);
        }
        let port = self.ours.map_or(PORT, |ours| ours.port);
        Ok(Segment { port, seq, ack, flags, window, options, payload: payload(data_seq(seq, flags), bytes) })
    }

    /// Options as agreed.
    fn options(&self, flags: u8, clock: u32, echo: u32) -> Vec<u8> {
        let mut options = Vec::new();
        if flags & SYN != 0 {
            if let Some(mss) = self.mss {
                options.extend([2, 4]);
                options.extend(mss.to_be_bytes());
            }
            if let Some(scale) = self.scale {
                options.extend([1, 3, 3, scale]);
            }
        }
        let is_agreed = self.ours.is_none_or(|ours| ours.has_timestamps);
        if self.timestamps && is_agreed {
            options.extend([1, 1, 8, 10]);
            options.extend(clock.to_be_bytes());
            options.extend(echo.to_be_bytes());
        }
        options
    }

    /// It has sent `segment`, which may let us send more.
    pub(super) fn on_sent(&mut self, segment: &Segment) {
        let end = segment.seq.wrapping_add(segment.length());
        if is_after(end, self.furthest) {
            self.furthest = end;
        }
        let scale = self.scale.map_or(0, |scale| scale.min(14));
        if let Some(ours) = &mut self.ours
            && segment.has(ACK)
            && is_after(segment.ack, ours.iss)
            && !is_after(segment.ack, ours.next)
        {
            let edge = segment.ack.wrapping_add(u32::from(segment.window) << scale);
            if is_after(edge, ours.allowed) {
                ours.allowed = edge;
            }
        }
    }

    /// The stack has sent `segment`: it must be one it may send.
    pub(super) fn on_received(&mut self, segment: &Segment) {
        if let Some(&[a, b, c, d, ..]) = segment.option(8) {
            self.echo = u32::from_be_bytes([a, b, c, d]);
        }
        if segment.has(RST) {
            return;
        }
        if segment.has(SYN) {
            return self.on_syn(segment);
        }
        let Some(mut ours) = self.ours else { panic!("a segment of no connection: {segment:?}") };
        assert!(segment.has(ACK), "no ACK: {segment:?}");
        let end = segment.seq.wrapping_add(segment.length());
        assert!(
            !is_after(segment.ack, self.furthest),
            "acknowledges what was not sent: {segment:?}, {ours:?}"
        );
        assert!(!is_after(ours.ack, segment.ack), "takes an acknowledgement back: {segment:?}, {ours:?}");
        let edge = segment.ack.wrapping_add(u32::from(segment.window) << ours.scale);
        ours.ack = segment.ack;
        if is_after(edge, ours.edge) {
            ours.edge = edge;
        }
        // One byte, or FIN, probes a window that is shut.
        let is_probe = segment.length() == 1;
        let allowed = ours.allowed.wrapping_add(u32::from(is_probe));
        assert!(segment.length() == 0 || !is_after(end, allowed), "beyond the window: {segment:?}, {ours:?}");
        let timestamps = if ours.has_timestamps { 12 } else { 0 };
        let most = usize::from(self.mss.unwrap_or(536).clamp(64, 1460)) - timestamps;
        assert!(segment.payload.len() <= most, "larger than {most}: {segment:?}");
        let offset = segment.seq.wrapping_sub(ours.iss.wrapping_add(1));
        for (at, &got) in (0..).zip(&segment.payload) {
            let number = u32::try_from(self.our_first_offset).expect("small") + offset + at;
            assert_eq!(got, byte(number), "another byte at {number}");
        }
        if is_after(end, ours.next) {
            ours.next = end;
        }
        self.ours = Some(ours);
    }

    /// A SYN or SYN-ACK of ours: again, or of a new connection.
    fn on_syn(&mut self, segment: &Segment) {
        // Numbers of ours that begin within four microseconds of each other are the same.
        let is_for_known = !segment.has(ACK) || segment.ack == self.first();
        if is_for_known && self.ours.is_some_and(|ours| ours.iss == segment.seq) {
            return;
        }
        let our_scale = segment.option(3).map(|value| value[0]);
        if segment.has(ACK) {
            self.iss = segment.ack.wrapping_sub(1);
            (self.next, self.furthest) = (segment.ack, segment.ack);
        }
        let ack = self.iss.wrapping_add(1);
        self.ours = Some(Ours {
            port: segment.port,
            iss: segment.seq,
            next: segment.seq.wrapping_add(1),
            ack,
            edge: ack.wrapping_add(u32::from(segment.window)),
            allowed: segment.seq.wrapping_add(1),
            scale: our_scale.filter(|_| self.scale.is_some()).unwrap_or(0),
            has_timestamps: segment.option(8).is_some() && self.timestamps,
        });
    }
}

/// Where the bytes of a segment begin.
fn data_seq(seq: u32, flags: u8) -> u32 {
    if flags & SYN != 0 { seq.wrapping_add(1) } else { seq }
}

fn payload(seq: u32, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| byte(seq.wrapping_add(u32::try_from(at).expect("small")))).collect()
}
