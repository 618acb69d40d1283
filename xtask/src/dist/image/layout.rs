//! An image as a layout of the Open Container Initiative: blobs named by their digests, an image for each machine, and an index that
//! has them all under one name.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::USER;
use crate::run::{command, first_line, output};
use crate::toolchains::hex;

/// A machine as images name it.
pub(super) struct Platform {
    pub(super) architecture: &'static str,
    pub(super) variant: Option<&'static str>,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Platform {
    /// The name of this machine's image alone.
    pub(super) fn tag(&self) -> String {
        format!("{VERSION}-{}{}", self.architecture, self.variant.unwrap_or_default())
    }

    fn json(&self) -> Value {
        let mut platform = json!({ "architecture": self.architecture, "os": "linux" });
        if let Some(variant) = self.variant {
            platform["variant"] = variant.into();
        }
        platform
    }
}

/// A layout in the making.
pub(super) struct Layout {
    folder: PathBuf,
    /// When the commit was made.
    created: String,
}

impl Layout {
    /// Makes the folder anew.
    pub(super) fn create(folder: &Path, epoch: &str) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        let created = first_line(command("date --utc +%FT%TZ").arg(format!("--date=@{epoch}")))?;
        fs::create_dir_all(folder.join("blobs/sha256"))
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let layout = Self { folder: folder.to_owned(), created };
        layout.write("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))?;
        Ok(layout)
    }

    /// Adds the image of one layer, which is gone then; its descriptor.
    pub(super) fn image(&self, platform: &Platform, layer: &Path) -> Result<Value> {
        let tar = fs::read(layer).with_context(|| format!("cannot read {}", layer.display()))?;
        let diff = digest(&tar);
        output(command("gzip -9 -n -f").arg(layer))?;
        let packed = layer.with_extension("tar.gz");
        let layer =
            self.blob("application/vnd.oci.image.layer.v1.tar+gzip", &fs::read(&packed)?)?;
        fs::remove_file(packed).context("cannot tidy up")?;
        let mut config = platform.json();
        config["created"] = self.created.as_str().into();
        config["config"] = configuration();
        config["rootfs"] = json!({ "type": "layers", "diff_ids": [diff] });
        let config = self.json("application/vnd.oci.image.config.v1+json", &config)?;
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": config,
            "layers": [layer],
        });
        let mut image = self.json(media_type, &manifest)?;
        image["platform"] = platform.json();
        image["annotations"] = named(&platform.tag());
        Ok(image)
    }

    /// Names the images: all under the version, and each under its own name.
    pub(super) fn finish(&self, images: &[Value]) -> Result<()> {
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = |manifests: &[Value]| json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests });
        let mut all = self.json(media_type, &index(images))?;
        all["annotations"] = named(VERSION);
        let named: Vec<Value> = std::iter::once(all).chain(images.iter().cloned()).collect();
        self.write("index.json", &index(&named))
    }

    fn json(&self, media_type: &str, value: &Value) -> Result<Value> {
        self.blob(media_type, value.to_string().as_bytes())
    }

    /// Keeps bytes under their digest; their descriptor.
    fn blob(&self, media_type: &str, bytes: &[u8]) -> Result<Value> {
        let digest = digest(bytes);
        let path = self.folder.join("blobs").join(digest.replace(':', "/"));
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() }))
    }

    fn write(&self, name: &str, value: &Value) -> Result<()> {
        let path = self.folder.join(name);
        let text = value.to_string();
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// How the image is run.
fn configuration() -> Value {
    json!({
        "User": format!("{USER}:{USER}"),
        "WorkingDir": "/var/lib/flb-agent",
        "Env": ["XDG_CACHE_HOME=/var/cache", "FLB_AGENT_HTTP_LISTEN=0.0.0.0"],
        "ExposedPorts": { "2020/tcp": {} },
        "Entrypoint": ["/usr/bin/flb-agent"],
        "Cmd": ["-c", "/etc/flb-agent/flb-agent.conf"],
    })
}

fn named(tag: &str) -> Value {
    json!({ "org.opencontainers.image.ref.name": tag })
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_an_image_for_each_machine_and_blobs_have_their_digests_as_names() {
        let folder = std::env::temp_dir().join(format!("flb-layout-{}", std::process::id()));
        let layout = Layout::create(&folder, "1750000000").unwrap();
        let machines = [
            Platform { architecture: "amd64", variant: None },
            Platform { architecture: "arm", variant: Some("v7") },
        ];
        let images: Vec<Value> = machines
            .iter()
            .map(|platform| {
                let layer = folder.join("layer.tar");
                fs::write(&layer, platform.architecture).unwrap();
                layout.image(platform, &layer).unwrap()
            })
            .collect();
        layout.finish(&images).unwrap();
        let read =
            |path: PathBuf| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
        let blob =
            |digest: &Value| folder.join("blobs").join(digest.as_str().unwrap().replace(':', "/"));
        let index = read(folder.join("index.json"));
        let names: Vec<&str> = (0..3)
            .map(|at| {
                index["manifests"][at]["annotations"]["org.opencontainers.image.ref.name"]
                    .as_str()
                    .unwrap()
            })
            .collect();
        assert_eq!(names, [VERSION, &format!("{VERSION}-amd64"), &format!("{VERSION}-armv7")]);
        let all = read(blob(&index["manifests"][0]["digest"]));
        assert_eq!(all["manifests"][1]["platform"]["variant"], "v7");
        let manifest = read(blob(&all["manifests"][1]["digest"]));
        let config = read(blob(&manifest["config"]["digest"]));
        assert_eq!(
            (&config["architecture"], &config["created"]),
            (&"arm".into(), &"2025-06-15T15:06:40Z".into())
        );
        for entry in fs::read_dir(folder.join("blobs/sha256")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert_eq!(hex(&Sha256::digest(fs::read(&path).unwrap())), name);
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
