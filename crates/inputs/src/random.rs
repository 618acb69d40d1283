//! `random`: random numbers, to try a pipeline out.

use flb_event::msgpack;
use flb_plugin::keys::{Int, Key};
use flb_plugin::{Build, BuildError, Input, Options, Spec, Table, keys};

use super::shared::interval;
use super::shared::sampler::{Sample, Sampler};
use flb_plugin::log::Label;

keys! {
    const KEYS;
    SAMPLES: Int = Key::new("samples", "How many records; -1 is for ever").default("-1");
}

pub(super) const SPEC: Spec<dyn Input> = Spec {
    name: "random",
    about: "Make records of random numbers",
    options: Table(&[KEYS, interval::KEYS]),
    build,
};

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    Ok(Box::new(Sampler {
        tag: build.tag.clone(),
        label: Label::input("random", build),
        interval: interval::interval(options),
        limit: u64::try_from(options.get(SAMPLES)).ok(),
        source: Random,
    }))
}

struct Random;

impl Sample for Random {
    fn sample(&mut self, body: &mut Vec<u8>) -> Result<bool, String> {
        let number = getrandom::u64().map_err(|error| error.to_string())?;
        msgpack::write_map_header(body, 1);
        msgpack::write_str(body, "rand_value");
        msgpack::write_uint(body, number);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::Scene;

    #[test]
    fn so_many_numbers_come_out_and_they_differ() {
        let scene = Scene::new(1000.0);
        scene.run(&SPEC, &[("samples", "3")]).unwrap();
        let bodies = scene.bodies();
        assert_eq!(scene.batches(), [1, 1, 1]);
        assert!(bodies[0].starts_with(r#"{"rand_value":"#));
        assert_ne!(bodies[0], bodies[1]);
    }

    #[test]
    fn without_a_number_they_come_until_the_stop() {
        let scene = Scene::new(1000.0).until(1005.0);
        scene.run(&SPEC, &[("interval_sec", "2")]).unwrap();
        assert_eq!(scene.batches().len(), 2);
    }
}
