//! Assembles WGSL: the library files a shader names, its constants and repeats, and errors mapped back to file and line.
//!
//! Three kinds of line mean something to [`assemble`]; to WGSL they are comments.
//!
//! * `//!use index` puts `shaders/lib/index.wgsl` in front, once, and what that file uses before it.
//! * `//!repeat i 0..8` … `//!end` writes the lines between once for each value from 0 up to, not including, 8, with
//!   `$i` or `${i}` replaced by it. Blocks nest. A bound may be the name of a `const` with an integer value.
//! * `const TILE: u32 = 8;` on a line of its own is a default: a constant of the same name handed to [`assemble`]
//!   takes its place. (An `override` does the same later, in the compiler; a `const` may also be an array length or a
//!   repeat bound.)

use crate::error::{Error, Result};

/// Embeds the named files of the shader folder. Adding a shader is adding its line below.
macro_rules! shader_files {
    ($($path:literal)*) => {
        &[$(($path, include_str!(concat!("../../shaders/", $path)))),*]
    };
}

/// Every WGSL file: its path inside the shader folder, and its text.
const FILES: &[(&str, &str)] = shader_files! {
    "adam.wgsl"
    "axis_map.wgsl"
    "batch_norm.wgsl"
    "batch_norm_moments.wgsl"
    "batch_norm_sums.wgsl"
    "batch_norm_tiles.wgsl"
    "batch_norm_whole.wgsl"
    "bias_activation.wgsl"
    "binary.wgsl"
    "conv2d.wgsl"
    "conv2d_input.wgsl"
    "conv2d_weight.wgsl"
    "extremum.wgsl"
    "gemm.wgsl"
    "gemm_pack.wgsl"
    "gemm_panel.wgsl"
    "gemm_shuffle.wgsl"
    "layout.wgsl"
    "limits.wgsl"
    "matmul.wgsl"
    "max_pool.wgsl"
    "mean_of.wgsl"
    "random.wgsl"
    "reduce.wgsl"
    "select.wgsl"
    "unary.wgsl"
    "lib/activation.wgsl"
    "lib/batch_norm.wgsl"
    "lib/conv.wgsl"
    "lib/epilogue.wgsl"
    "lib/gather.wgsl"
    "lib/index.wgsl"
    "lib/math.wgsl"
    "lib/panel.wgsl"
    "lib/scatter.wgsl"
    "lib/span.wgsl"
    "lib/texel.wgsl"
    "lib/philox.wgsl"
};

/// The stems of all shaders (not of the library files), such as `matmul`.
pub fn shaders() -> Vec<&'static str> {
    FILES.iter().filter(|(path, _)| !path.contains('/')).filter_map(|(path, _)| path.strip_suffix(".wgsl")).collect()
}

/// The paths of all WGSL files inside the shader folder.
#[cfg(test)]
pub(super) fn paths() -> Vec<&'static str> {
    FILES.iter().map(|(path, _)| *path).collect()
}

/// The path and text of a shader (`matmul`) or library file (`lib/index`).
fn file(name: &str) -> Option<(&'static str, &'static str)> {
    #[cfg(test)]
    let files = FILES.iter().chain(super::test_kernels::FILES);
    #[cfg(not(test))]
    let files = FILES.iter();
    files.into_iter().find(|(path, _)| path.strip_suffix(".wgsl") == Some(name)).copied()
}

/// One line of assembled text: which file it came from and which line there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The path inside the shader folder.
    pub file: &'static str,
    /// The line, counted from 1.
    pub line: u32,
}

/// A complete WGSL module and where each of its lines came from.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// The text for the compiler.
    pub source: String,
    /// One entry for each line of `source`.
    pub line_map: Vec<Origin>,
}

impl Assembled {
    /// Where a line of the assembled text (counted from 1) came from.
    pub fn origin(&self, line: usize) -> Option<Origin> {
        self.line_map.get(line.checked_sub(1)?).copied()
    }

    /// Rewrites a compiler's message about the assembled text: `wgsl:LINE:COLUMN` and the line numbers beside quoted
    /// source become `shaders/FILE:LINE`.
    pub fn map_message(&self, message: &str) -> String {
        let mut mapped = String::new();
        for line in message.lines() {
            mapped.push_str(&self.map_message_line(line));
            mapped.push('\n');
        }
        mapped.truncate(mapped.trim_end().len());
        mapped
    }

    fn map_message_line(&self, text: &str) -> String {
        if let Some((before, after)) = text.split_once("wgsl:") {
            let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if let Some(origin) = after[..digits].parse().ok().and_then(|line| self.origin(line)) {
                return format!("{before}shaders/{}:{}{}", origin.file, origin.line, &after[digits..]);
            }
        }
        if let Some((number, rest)) = text.split_once('│')
            && let Some(origin) = number.trim().parse().ok().and_then(|line| self.origin(line))
        {
            return format!("{:>width$} │{rest}", origin.line, width = number.trim_end().chars().count());
        }
        text.to_string()
    }

    /// Checks the module with the WGSL front end and validator and returns it with what the validator learnt.
    pub(super) fn parse(&self) -> Result<(wgpu::naga::Module, wgpu::naga::valid::ModuleInfo)> {
        use wgpu::naga::{front::wgsl, valid};
        let module = wgsl::parse_str(&self.source).map_err(|e| self.compile_error(&e.emit_to_string(&self.source)))?;
        let info = valid::Validator::new(valid::ValidationFlags::all(), valid::Capabilities::all())
            .validate(&module)
            .map_err(|e| self.compile_error(&e.emit_to_string(&self.source)))?;
        Ok((module, info))
    }

    /// The error for a message of the WGSL front end.
    fn compile_error(&self, message: &str) -> Error {
        Error::Gpu(format!("shader does not compile: {}", self.map_message(message)))
    }
}

/// Builds the module of `shaders/SHADER.wgsl`: library files in front, `const` defaults replaced by `consts` (name and
/// WGSL text of the value), repeats written out.
///
/// # Errors
///
/// [`Error::Gpu`] with file and line: no such shader or library file, a constant that no line declares, an ill-formed
/// repeat. The WGSL itself is not looked at.
pub fn assemble(shader: &str, consts: &[(&str, String)]) -> Result<Assembled> {
    let mut parts = Vec::new();
    collect(shader, &mut parts)?;
    for (name, _) in consts {
        if const_type(shader, name).is_none() {
            return Err(Error::Gpu(format!("shaders/{shader}.wgsl declares no `const {name}: … = …;` on one line")));
        }
    }
    let lines: Vec<(Origin, String)> = parts
        .iter()
        .flat_map(|(path, text)| (1..).zip(text.lines()).map(|(line, text)| (Origin { file: path, line }, text)))
        .map(|(origin, text)| (origin, inject(text, consts)))
        .collect();

    let mut assembled = Assembled { source: String::new(), line_map: Vec::with_capacity(lines.len()) };
    expand(&lines, &lines, &mut Vec::new(), &mut assembled)?;
    Ok(assembled)
}

/// Appends a file to `parts`, after the library files it uses.
fn collect(name: &str, parts: &mut Vec<(&'static str, &'static str)>) -> Result<()> {
    let (path, text) =
        file(name).ok_or_else(|| Error::Gpu(format!("there is no shader shaders/{name}.wgsl in this program")))?;
    for (line, text) in (1..).zip(text.lines()) {
        let Some(used) = directive(text, "use") else { continue };
        let used = format!("lib/{used}");
        if parts.iter().any(|(path, _)| path.strip_suffix(".wgsl") == Some(used.as_str())) {
            continue;
        }
        if used == name || file(&used).is_none() {
            return Err(at(Origin { file: path, line }, &format!("cannot use shaders/{used}.wgsl here")));
        }
        collect(&used, parts)?;
    }
    if !parts.iter().any(|(known, _)| *known == path) {
        parts.push((path, text));
    }
    Ok(())
}

/// The rest of a `//!NAME …` line.
fn directive<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = text.trim().strip_prefix("//!")?.strip_prefix(name)?;
    (rest.is_empty() || rest.starts_with(' ')).then(|| rest.trim())
}

/// Splits a line `const NAME: TYPE = VALUE; …` into name, type, value and what follows.
fn const_declaration(text: &str) -> Option<(&str, &str, &str, &str)> {
    let (name, rest) = text.strip_prefix("const ")?.split_once(':')?;
    let (kind, rest) = rest.split_once('=')?;
    let (value, rest) = rest.split_once(';')?;
    Some((name.trim(), kind.trim(), value.trim(), rest))
}

/// The WGSL type of the one-line `const` that a shader or a library file it uses declares under this name.
fn const_type(shader: &str, name: &str) -> Option<&'static str> {
    let mut parts = Vec::new();
    collect(shader, &mut parts).ok()?;
    let declarations = parts.iter().flat_map(|(_, text)| text.lines()).filter_map(const_declaration);
    declarations.into_iter().find(|(known, ..)| *known == name).map(|(_, kind, ..)| kind)
}

/// The text of a number as the value of the shader's `const` of this name; none if it declares no such constant.
pub(super) fn const_text(shader: &str, name: &str, value: f64) -> Option<String> {
    Some(match const_type(shader, name)? {
        "u32" => format!("{}u", value as u32),
        "i32" => format!("{}i", value as i32),
        "bool" => format!("{}", value != 0.0),
        "f32" => format!("{:?}f", value as f32),
        kind => format!("{kind}({value:?})"),
    })
}

/// The line, with the value replaced if it declares one of `consts`.
fn inject(text: &str, consts: &[(&str, String)]) -> String {
    if let Some((name, kind, _, rest)) = const_declaration(text)
        && let Some((_, value)) = consts.iter().find(|(wanted, _)| *wanted == name)
    {
        return format!("const {name}: {kind} = {value};{rest}");
    }
    text.to_string()
}

/// Writes out `lines`, repeats expanded, with the variables that stand for numbers now.
fn expand<'a>(
    lines: &'a [(Origin, String)],
    all: &[(Origin, String)],
    variables: &mut Vec<(&'a str, i64)>,
    out: &mut Assembled,
) -> Result<()> {
    let mut next = 0;
    while let Some((origin, text)) = lines.get(next) {
        next += 1;
        if directive(text, "end").is_some() {
            return Err(at(*origin, "//!end without //!repeat"));
        }
        let Some(repeat) = directive(text, "repeat") else {
            out.source.push_str(&substitute(text, variables).map_err(|message| at(*origin, &message))?);
            out.source.push('\n');
            out.line_map.push(*origin);
            continue;
        };

        let malformed = || at(*origin, "expected `//!repeat NAME FROM..TO`");
        let (name, range) = repeat.split_once(' ').ok_or_else(malformed)?;
        let (from, to) = range.split_once("..").ok_or_else(malformed)?;
        let bound = |text: &str| {
            let text = substitute(text.trim(), variables).map_err(|message| at(*origin, &message))?;
            integer(&text, all).ok_or_else(|| at(*origin, &format!("`{text}` is no integer and no integer const")))
        };
        let (from, to) = (bound(from)?, bound(to)?);
        if to - from > 4096 {
            return Err(at(*origin, "more than 4096 repetitions"));
        }

        let start = next;
        let mut depth = 1;
        while depth > 0 {
            let (_, text) = lines.get(next).ok_or_else(|| at(*origin, "//!repeat without //!end"))?;
            depth += i32::from(directive(text, "repeat").is_some());
            depth -= i32::from(directive(text, "end").is_some());
            next += 1;
        }
        for value in from..to {
            variables.push((name, value));
            expand(&lines[start..next - 1], all, variables, out)?;
            variables.pop();
        }
    }
    Ok(())
}

/// The value of an integer, or of the `const` of this name.
fn integer(text: &str, all: &[(Origin, String)]) -> Option<i64> {
    let literal = |text: &str| text.trim_end_matches(['u', 'i']).parse().ok();
    literal(text).or_else(|| {
        let mut declarations = all.iter().filter_map(|(_, line)| const_declaration(line));
        declarations.find(|(name, ..)| *name == text).and_then(|(_, _, value, _)| literal(value))
    })
}

/// Replaces `$name` and `${name}`, except in lines that are nothing but a comment.
fn substitute(text: &str, variables: &[(&str, i64)]) -> Result<String, String> {
    if text.trim_start().starts_with("//") {
        return Ok(text.to_string());
    }
    let mut parts = text.split('$');
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (name, rest) = match part.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or("`${` without `}`")?,
            None => part.split_at(part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len())),
        };
        let (_, value) = variables
            .iter()
            .rfind(|(known, _)| *known == name)
            .ok_or_else(|| format!("`${name}` stands for nothing here: no //!repeat around it has that name"))?;
        out.push_str(&value.to_string());
        out.push_str(rest);
    }
    Ok(out)
}

/// An error at a line of a shader file.
fn at(origin: Origin, message: &str) -> Error {
    Error::Gpu(format!("shaders/{}:{}: {message}", origin.file, origin.line))
}
