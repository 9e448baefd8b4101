//! One session's view: the list of tools, and calls of them.

use std::sync::Arc;

use nodewire_core::{ExecutionRequest, Executor};
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CustomRequest, CustomResult, ErrorCode,
    Implementation, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
    Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use tokio::sync::Semaphore;

use super::catalogue::Catalogue;
use super::config::McpOptions;
use super::counts::{Counts, add};
use super::{calls, error};
use crate::capability::Losses;

/// What all sessions share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) executor: Executor,
    pub(super) losses: Losses,
    pub(super) options: McpOptions,
    pub(super) counts: Counts,
    catalogue: Catalogue,
    /// Who the server is, which the SDK asks for at each call without a session.
    info: ServerConfig,
}

/// One session's view.
#[derive(Debug)]
pub(super) struct SessionTools {
    shared: Arc<Shared>,
    places: Semaphore,
}

impl Shared {
    pub(super) fn new(options: McpOptions, executor: Executor, losses: Losses) -> Arc<Self> {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        let mut info = ServerConfig::new(capabilities)
            .with_server_info(Implementation::new(&options.name, &options.version));
        info.instructions.clone_from(&options.instructions);
        Arc::new(Self {
            info,
            catalogue: Catalogue::new(executor.clone()),
            executor,
            losses,
            options,
            counts: Counts::default(),
        })
    }
}

impl SessionTools {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let places = shared.options.in_flight_max.min(Semaphore::MAX_PERMITS);
        Self {
            shared: Arc::clone(shared),
            places: Semaphore::new(places),
        }
    }
}

impl ServerHandler for SessionTools {
    fn get_info(&self) -> ServerConfig {
        self.shared.info.clone()
    }

    /// The SDK asks before each call, to check headers by the schema of the arguments; it needs nothing else.
    fn get_tool(&self, name: &str) -> Option<Tool> {
        let tools = self.shared.catalogue.tools();
        let schema = Arc::clone(&tools.get(name)?.tool.input_schema);
        Some(Tool::new_with_raw(name.to_owned(), None, schema))
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let after = request.and_then(|request| request.cursor);
        let tools = self.shared.catalogue.tools();
        let (page, next) = tools.page(after.as_deref(), self.shared.options.tools_per_page);
        let mut result = ListToolsResult::with_all_items(page);
        result.next_cursor = next;
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Ok(_place) = self.places.try_acquire() else {
            add(&self.shared.counts.calls_refused);
            return Err(error::session_full(self.shared.options.in_flight_max));
        };
        let tools = self.shared.catalogue.tools();
        let Some(described) = tools.get(&request.name) else {
            // Has the executor count the refusal, as on every other wire.
            let unknown = ExecutionRequest::new(request.name.to_string());
            drop(self.shared.executor.submit(unknown));
            return Err(error::unknown_tool(&request.name));
        };
        let arguments = request.arguments.unwrap_or_default();
        let called = calls::call(&self.shared, described, arguments, context);
        Ok(called.await?.into())
    }

    /// Requests whose parameters cannot be read come here, too.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if request.method == "tools/call" {
            let text =
                "`params` must have the `name` of a tool, and `arguments` that are an object";
            return Err(ErrorData::invalid_params(text, None));
        }
        let method: String = request.method.chars().take(100).collect();
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, method, None))
    }
}
