//! The few fields of TensorFlow's `Event` message that a curve needs, in the wire format of protocol buffers
//! (<https://protobuf.dev/programming-guides/encoding/>). Field numbers: `event.proto` and `summary.proto` in
//! `tensorflow/core/`, of which TensorBoard keeps copies in `tensorboard/compat/proto/`.

/// `Event.wall_time`, double, seconds since 1970.
const WALL_TIME: u32 = 1;
/// `Event.step`, int64.
const STEP: u32 = 2;
/// `Event.file_version`, string.
const FILE_VERSION: u32 = 3;
/// `Event.summary`, a `Summary`.
const SUMMARY: u32 = 5;
/// `Event.session_log`, a `SessionLog`.
const SESSION_LOG: u32 = 7;
/// `Summary.value`, a `Summary.Value`, repeated.
const VALUE: u32 = 1;
/// `Summary.Value.tag`, string.
const TAG: u32 = 1;
/// `Summary.Value.simple_value`, float.
const SIMPLE_VALUE: u32 = 2;
/// `SessionLog.status`, an enumeration.
const STATUS: u32 = 1;
/// `SessionLog.START`.
const START: u64 = 1;

/// The version that makes readers heed [`Event::Restart`].
const VERSION: &str = "brain.Event:2";

/// One record of an event file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    /// What every file begins with.
    Version,
    /// The run is made again from `step` on; what was written of these steps is void.
    Restart { step: u64 },
    /// One number.
    Scalar { step: u64, tag: String, value: f64 },
}

impl Event {
    /// The message, of this time in seconds since 1970.
    pub(super) fn encode(&self, seconds: f64) -> Vec<u8> {
        let mut event = Message::default();
        event.double(WALL_TIME, seconds);
        match self {
            Self::Version => event.bytes(FILE_VERSION, VERSION.as_bytes()),
            Self::Restart { step } => {
                let mut log = Message::default();
                log.number(STATUS, START);
                event.number(STEP, *step);
                event.bytes(SESSION_LOG, &log.0);
            }
            Self::Scalar { step, tag, value } => {
                let (mut summary, mut of_tag) = (Message::default(), Message::default());
                of_tag.bytes(TAG, tag.as_bytes());
                of_tag.float(SIMPLE_VALUE, *value as f32);
                summary.bytes(VALUE, &of_tag.0);
                event.number(STEP, *step);
                event.bytes(SUMMARY, &summary.0);
            }
        }
        event.0
    }
}

/// Kind of a field on the wire: it tells where the field ends.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Counted = 2,
    Fixed32 = 5,
}

/// A message as it grows, field by field.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u32, wire: Wire) {
        self.varint(u64::from(field << 3 | wire as u32));
    }

    /// A field that is zero is left out, as the format has it for numbers.
    fn number(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.key(field, Wire::Varint);
            self.varint(value);
        }
    }

    fn double(&mut self, field: u32, value: f64) {
        self.key(field, Wire::Fixed64);
        self.0.extend(value.to_le_bytes());
    }

    fn float(&mut self, field: u32, value: f32) {
        self.key(field, Wire::Fixed32);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, Wire::Counted);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }
}
