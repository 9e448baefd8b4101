//! Where to export.

use reqwest::Url;

use crate::error::ExportSetupError;

/// The addresses of a collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub(crate) traces: Url,
    pub(crate) metrics: Url,
}

impl Endpoint {
    /// A collector by what stands before `/v1/traces` and `/v1/metrics`.
    ///
    /// # Errors
    /// If it is no HTTP URL, or has more in it than that. The text is not part of the error.
    pub fn parse(text: &str) -> Result<Self, ExportSetupError> {
        let url = http_url(text)?;
        Ok(Self {
            traces: below(&url, "v1/traces"),
            metrics: below(&url, "v1/metrics"),
        })
    }

    /// As [`Self::parse`], where traces go to an address of their own.
    ///
    /// # Errors
    /// As there.
    pub fn for_traces(text: &str) -> Result<Self, ExportSetupError> {
        let url = http_url(text)?;
        Ok(Self {
            traces: url.clone(),
            metrics: url,
        })
    }
}

fn http_url(text: &str) -> Result<Url, ExportSetupError> {
    let url = Url::parse(text)
        .map_err(|_| ExportSetupError::Endpoint("is no URL; give http://HOST:PORT"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(ExportSetupError::Endpoint(
            "is no HTTP URL; give http://HOST:PORT or https://HOST",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ExportSetupError::Endpoint(
            "has credentials in it; give them as a header",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(ExportSetupError::Endpoint(
            "has a query or a fragment; give only what stands before /v1/traces",
        ));
    }
    Ok(url)
}

fn below(url: &Url, path: &str) -> Url {
    let mut below = url.clone();
    below.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
    below
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn the_paths_are_appended() {
        for (text, traces) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            (
                "https://a.example/otlp/",
                "https://a.example/otlp/v1/traces",
            ),
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(endpoint.traces.as_str(), traces);
            assert_eq!(
                endpoint.metrics.as_str(),
                traces.replace("traces", "metrics")
            );
        }
    }

    #[test]
    fn what_is_no_collector_is_refused_without_being_repeated() {
        for text in [
            "localhost:4318",
            "nowhere",
            "ftp://host/",
            "http://user:secret@host",
            "http://host/?token=secret",
        ] {
            let error = Endpoint::parse(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
