//! What a filter is told beside the record.

use core::marker::PhantomData;

use crate::abi::{self, Batch, StartBlock};
use crate::value::Value;

/// What a filter is told beside the record.
pub struct Context<'b> {
    batch: *const Batch,
    lives: PhantomData<&'b Batch>,
}

impl<'b> Context<'b> {
    /// # Safety
    ///
    /// A block as docs/batch-abi.md has it lies there as long as `'b`.
    pub(crate) unsafe fn new(batch: *const Batch) -> Self {
        Self { batch, lives: PhantomData }
    }

    /// The record's tag.
    #[inline(always)]
    pub fn tag(&self) -> &'b str {
        // SAFETY: the block is there; the host's tags are texts.
        unsafe {
            let tag = abi::bytes((*self.batch).tag, (*self.batch).tag_len);
            core::str::from_utf8_unchecked(tag)
        }
    }

    /// The time, as the agent's clock has it: nanoseconds since 1970. All records of a batch have the same.
    pub fn now(&self) -> u64 {
        // SAFETY: the block is there.
        unsafe { (*self.batch).now }
    }

    /// A property of the filter's configuration: `Config.Level` is `config("level")`. What is not configured is missing.
    ///
    /// ```
    /// use flb_filter::{Context, Record, Verdict, testing::Host};
    ///
    /// fn stamp(record: &mut Record, ctx: &Context) -> Verdict {
    ///     record.set("env", ctx.config("env"));
    ///     Verdict::Keep
    /// }
    ///
    /// let answer = Host::new().config("env", "test").run(stamp, r#"{"a":1}"#);
    /// assert_eq!(answer, [r#"{"a":1,"env":"test"}"#]);
    /// ```
    pub fn config(&self, key: &str) -> Value<'b> {
        self.start().config(key)
    }

    /// The filter's name in log and metrics.
    pub fn name(&self) -> &'b str {
        self.start().name()
    }

    fn start(&self) -> Start<'b> {
        // SAFETY: the block leads to the start block, which lives longer.
        unsafe { Start::new((*self.batch).start) }
    }
}

/// What a filter is told before its first record: its configuration, which it may refuse.
///
/// ```
/// use flb_filter::{Start, testing::Host};
///
/// # #[flb_filter::start]
/// fn start(start: &Start) -> Result<(), &'static str> {
///     match start.config("env").as_str() {
///         Some("test" | "production") => Ok(()),
///         _ => Err("Config.Env must be test or production"),
///     }
/// }
///
/// assert_eq!(Host::new().config("env", "test").start(start), Ok(()));
/// assert_eq!(Host::new().start(start), Err("Config.Env must be test or production".to_owned()));
/// ```
pub struct Start<'b> {
    block: *const StartBlock,
    lives: PhantomData<&'b StartBlock>,
}

impl<'b> Start<'b> {
    /// # Safety
    ///
    /// A block as docs/batch-abi.md has it lies there as long as `'b`.
    pub(crate) unsafe fn new(block: *const StartBlock) -> Self {
        Self { block, lives: PhantomData }
    }

    /// As [`Context::config`].
    pub fn config(&self, key: &str) -> Value<'b> {
        // SAFETY: the block names a map.
        unsafe { Value::at((*self.block).config) }.get(key)
    }

    /// As [`Context::name`].
    pub fn name(&self) -> &'b str {
        // SAFETY: the block is there; names are texts.
        unsafe {
            core::str::from_utf8_unchecked(abi::bytes((*self.block).name, (*self.block).name_len))
        }
    }
}
