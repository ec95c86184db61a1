/** Entry of `/s/<session>/`: starts the viewer for somebody who is logged in. */

import { ViewerPage, readConfig } from "./page.js";

new ViewerPage(readConfig()).start();
