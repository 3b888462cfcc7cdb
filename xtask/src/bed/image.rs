//! Images of the bed, written from files of this machine.

use super::shell::{self, words};
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use oci::{Content, Layer};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

/// What an image holds and how it is started.
pub struct Image(pub oci::Image);

impl Image {
    /// An image with nothing in it yet.
    pub fn new(name: &str, entrypoint: &[&str], user: u32) -> Result<Self> {
        use bed::layout::{IMAGE_HUB, IMAGE_TAG};
        let architecture = oci::architecture(std::env::consts::ARCH)
            .ok_or_else(|| miette!("there are no images for {}", std::env::consts::ARCH))?;
        Ok(Self(oci::Image {
            name: format!("{IMAGE_HUB}/{name}:{IMAGE_TAG}"),
            architecture,
            files: BTreeMap::from([(PathBuf::from("tmp"), Content::Folder)]),
            entrypoint: entrypoint.iter().map(ToString::to_string).collect(),
            user,
            annotations: BTreeMap::new(),
        }))
    }

    /// Adds a file.
    pub fn file(mut self, at: &str, from: impl Into<PathBuf>) -> Self {
        self.0
            .files
            .insert(at.trim_start_matches('/').into(), Content::File(from.into()));
        self
    }

    /// Adds a folder that everyone may write to.
    pub fn folder(mut self, at: &str) -> Self {
        self.0
            .files
            .insert(at.trim_start_matches('/').into(), Content::Folder);
        self
    }

    /// Adds a program of this machine under its own path, with the libraries that it loads.
    pub fn program_of_machine(mut self, path: &str) -> Result<Self> {
        for library in libraries(Path::new(path))? {
            self.add_real(&library)?;
        }
        self.add_real(Path::new(path))?;
        Ok(self)
    }

    /// Adds the libraries of a program that is in the image already.
    pub fn libraries_of(mut self, path: &Path) -> Result<Self> {
        for library in libraries(path)? {
            self.add_real(&library)?;
        }
        Ok(self)
    }

    /// Adds a file of this machine: where it is a link, what it leads to under the link's name.
    fn add_real(&mut self, path: &Path) -> Result<()> {
        let real = fs::canonicalize(path)
            .into_diagnostic()
            .wrap_err_with(|| format!("{} is not there", path.display()))?;
        let at = path.strip_prefix("/").unwrap_or(path);
        self.0.files.insert(at.to_owned(), Content::File(real));
        Ok(())
    }

    /// Writes the archive, unless one of the same files is there.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        let short = self
            .0
            .name
            .rsplit('/')
            .next()
            .unwrap_or(&self.0.name)
            .replace(':', "-");
        let archive = folder.join(format!("{short}.tar"));
        let stamp = folder.join(format!("{short}.stamp"));
        let made_of = self.made_of()?;
        if archive.exists() && fs::read_to_string(&stamp).is_ok_and(|of| of == made_of) {
            return Ok(archive);
        }
        fs::create_dir_all(folder).into_diagnostic()?;
        let _ = fs::remove_file(&stamp);
        let new = folder.join(format!("{short}.new"));
        let layer = folder.join(format!("{short}.layer"));
        self.write_archive(&layer, &new)
            .into_diagnostic()
            .wrap_err_with(|| format!("the image {} cannot be written", self.0.name))?;
        fs::remove_file(&layer).into_diagnostic()?;
        // An archive that is cut off must not pass for a whole one.
        fs::rename(&new, &archive).into_diagnostic()?;
        fs::write(&stamp, made_of).into_diagnostic()?;
        Ok(archive)
    }

    /// All sources with their sizes and times: equal exactly if the archive would be.
    fn made_of(&self) -> Result<String> {
        let mut text = format!("{} {:?} {}\n", self.0.name, self.0.entrypoint, self.0.user);
        for (at, content) in &self.0.files {
            let source = match content {
                Content::File(from) => {
                    let about = fs::metadata(from)
                        .into_diagnostic()
                        .wrap_err_with(|| format!("{} is not there", from.display()))?;
                    let changed = about.modified().into_diagnostic()?;
                    format!("{} {} {changed:?}", from.display(), about.len())
                }
                Content::Program(_) => return Err(miette!("{} has no time", at.display())),
                Content::Link(to) => format!("-> {}", to.display()),
                Content::Folder => "folder".to_owned(),
            };
            text.push_str(&format!("{}: {source}\n", at.display()));
        }
        Ok(text)
    }

    fn write_archive(&self, layer: &Path, path: &Path) -> io::Result<()> {
        self.0.write_layer(BufWriter::new(File::create(layer)?))?;
        let packed = self.0.around(Layer::of_file(layer.to_owned())?);
        oci::archive(&[packed], BufWriter::new(File::create(path)?))
    }
}

/// What the dynamic loader would load for a program: the loader itself included; nothing for a static one.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let said = shell::output(words("ldd").arg(program))?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    Ok(text
        .split_ascii_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'))
        .map(PathBuf::from)
        .collect())
}
